"""One job slice is one transaction: lock, work and progress commit together or not at all."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import structlog
from psycopg.errors import LockNotAvailable, QueryCanceled
from sqlalchemy import Connection, Engine, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from shared.db.tables import job as job_table
from shared.telemetry import JOB_FAILURES, JOB_SECONDS

Progress = dict[str, Any]
ERROR_LENGTH: Final = 2000

log = structlog.get_logger()


class Slice(NamedTuple):
    """What one slice left behind: progress to store, whether more work waits, what it still owes.

    `error` tells of parts that failed alone and stay owed in `progress`; the rest is committed.
    """

    progress: Progress
    more: bool
    error: str | None = None


Work = Callable[[Connection, Progress], Slice]


@dataclass(frozen=True, slots=True)
class Job:
    """A named piece of recurring work.

    `calm` jobs are not woken by each commit: they run every few `periods` and see many at once.
    A job with a period of its own, `every_s`, waits behind no other: it has its own thread.
    """

    name: str
    work: Work
    calm: bool = False
    periods: int = 5
    every_s: float | None = None


_LOCK: Final = text("SELECT progress, error FROM job WHERE name = :name FOR UPDATE SKIP LOCKED")


def run_slice(engine: Engine, job: Job) -> bool:
    """Run one slice of `job`; returns whether more work waits.

    False also when another worker holds the job's row. Any failure rolls the slice back, is
    stored in the row (unless the database is what failed) and raised.
    """
    try:
        with JOB_SECONDS.labels(job.name).time(), engine.begin() as connection:
            done = _locked(connection, job)
    except Exception as error:
        JOB_FAILURES.labels(job.name).inc()
        if not lost(error):
            _remember(engine, job, f"{type(error).__name__}: {error}")
        raise
    if done.error:
        JOB_FAILURES.labels(job.name).inc()
        log.error("part of a job failed", job=job.name, error=done.error)
    return done.more


def lost(error: Exception) -> bool:
    """Whether the database went away, as opposed to refusing what we asked."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if isinstance(error, DBAPIError) and isinstance(error.orig, (QueryCanceled, LockNotAvailable)):
        return False  # it answered: this took longer than shared/db/session.py allows
    return isinstance(error, (OperationalError, InterfaceError))


def _locked(connection: Connection, job: Job) -> Slice:
    row = connection.execute(_LOCK, {"name": job.name}).one_or_none()
    if row is None:
        made = connection.scalar(
            insert(job_table)
            .values(name=job.name)
            .on_conflict_do_nothing()
            .returning(job_table.c.name)
        )
        if made is None:
            return Slice({}, more=False)  # another worker has it: it will do the work
        row = connection.execute(_LOCK, {"name": job.name}).one()
    # Many small statements: compiling them costs more than it saves.
    connection.execute(text("SET LOCAL jit = off"))
    done = job.work(connection, dict(row.progress))
    if (done.progress, done.error) != (row.progress, row.error):
        _store(connection, job, done)
    return done


def _store(connection: Connection, job: Job, done: Slice) -> None:
    connection.execute(
        job_table.update()
        .where(job_table.c.name == job.name)
        .values(
            progress=done.progress,
            error=done.error and done.error[:ERROR_LENGTH],
            ran_at=text("now()"),
        )
    )


def _remember(engine: Engine, job: Job, message: str) -> None:
    values = {"error": message[:ERROR_LENGTH], "ran_at": text("now()")}
    with engine.begin() as connection:
        connection.execute(
            insert(job_table)
            .values(name=job.name, **values)
            .on_conflict_do_update(index_elements=["name"], set_=values)
        )
