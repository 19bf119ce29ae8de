"""Does what others ask of ingest, on a thread and connections of its own, one task at a time.

Who works on a task holds an advisory lock of its session, which a crash gives back: another
worker, or the next start, goes on at the progress of the last slice.
"""

import threading
from typing import Any, Final

import psycopg
import structlog
from psycopg.types.json import Jsonb

from services.ingest import adapters, tasks
from services.ingest.task import Desk, Interrupted, Kind, Task, Unusable
from services.ingest.uplink import Adapter
from shared.db.task import CHANNEL
from shared.registry import discover
from shared.settings import Database

log = structlog.get_logger()
POLL_S: Final = 5.0  # a NOTIFY may be missed
TURN_S: Final = 0.5  # how soon it is seen that ingest stops
PAUSE_S: Final = 1.0
LOCK_CLASS: Final = 0x1AB7  # of advisory locks: these are tasks


def kinds() -> dict[str, Kind]:
    """Every task this release can do, by name."""
    return discover(tasks, Kind)


def at_desk(database: Database, stop: threading.Event) -> Desk:
    """Where tasks are done; to be closed."""
    return Desk(database, discover(adapters, Adapter), stop)


def follow(database: Database, stop: threading.Event) -> None:
    """Do every open task, then wait for more, until `stop` is set or the database is lost."""
    desk = at_desk(database, stop)
    try:
        desk.registry.execute(f"LISTEN {CHANNEL}")
        while not stop.is_set():
            for task_id in _open(desk):
                perform(desk, task_id)
            _wait(desk)
    finally:
        desk.close()


def perform(desk: Desk, task_id: int) -> bool:
    """Do one open task to its end, unless somebody else is at it or it has ended.

    Returns whether it was done here. Raises psycopg.Error when the database is what failed.
    """
    if not _fetch(desk, _TRY_LOCK, [LOCK_CLASS, task_id])[0]:
        return False
    try:
        row = _fetch(desk, _BEGIN, [task_id])
        if row is None or row[0] not in kinds():
            return False
        task = Task(task_id, *row[1:])
        desk.load()
        _run(desk, kinds()[row[0]], task)
        return True
    finally:
        if not desk.connection.closed:
            desk.connection.rollback()
            _fetch(desk, _UNLOCK, [LOCK_CLASS, task_id])


def _run(desk: Desk, kind: Kind, task: Task) -> None:
    try:
        state, result = "done", kind.run(desk, task)
    except Interrupted:
        return
    except psycopg.OperationalError as error:
        if desk.connection.closed or desk.registry.closed:
            raise
        # Somebody had a lock for too long, or a server setting was in the way: later again.
        log.warning("task_put_off", task=task.id, kind=kind.name, error=str(error))
        desk.stop.wait(PAUSE_S)
        return
    except Unusable as error:
        state, result = "failed", {"error": str(error)}
    except Exception as error:  # told to who asked; the other tasks go on
        log.exception("task_failed", task=task.id, kind=kind.name)
        state, result = "failed", {"error": f"{type(error).__name__}: {error}"[:500]}
    desk.connection.rollback()
    _fetch(desk, _END, [state, Jsonb(result), task.id])
    log.info("task_ended", task=task.id, kind=kind.name, state=state)


def _open(desk: Desk) -> list[int]:
    return [row[0] for row in desk.registry.execute(_OPEN, [list(kinds())])]


def _wait(desk: Desk) -> None:
    """Until there may be something to do, or it is time to look."""
    waited = 0.0
    while waited < POLL_S and not desk.stop.is_set():
        if [*desk.registry.notifies(timeout=TURN_S, stop_after=1)]:
            return
        waited += TURN_S


def _fetch(desk: Desk, sql: str, values: list[object]) -> Any:
    """One row or None, in a transaction of its own."""
    with desk.connection.transaction():
        return desk.connection.execute(sql, values).fetchone()


_OPEN: Final = """
    SELECT id FROM task WHERE state IN ('waiting', 'running') AND kind = ANY(%s) ORDER BY id
"""
_TRY_LOCK: Final = "SELECT pg_try_advisory_lock(%s, %s)"
_UNLOCK: Final = "SELECT pg_advisory_unlock(%s, %s)"
_BEGIN: Final = """
    UPDATE task SET state = 'running' WHERE id = %s AND state IN ('waiting', 'running')
    RETURNING kind, args, site_id, requested_at, progress
"""
_END: Final = """
    UPDATE task SET state = %s, result = %s, finished_at = now() WHERE id = %s RETURNING id
"""
