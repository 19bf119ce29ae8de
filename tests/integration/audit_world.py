"""Audit entries, sealed as analytics does, and what an attacker with SQL can do to them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from sqlalchemy import Connection, Engine, text

from services.analytics import runner
from services.analytics.audit import chain, job, seal
from services.analytics.audit.verify import Report, verify
from services.analytics.audit.walk import Check
from shared.db import audit
from shared.settings import Audit

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
KEY = Audit(key="known-to-the-test-only")
NO_KEY = Audit.model_construct()


def entry(number: int) -> audit.Entry:
    return audit.Entry(
        actor="user:dewi",
        action="update",
        object=f"finding/{number}",
        site_id=1,
        address="192.0.2.7",
        why="seen on site",
        changed=("state",),
        values={"state": "closed"},
    )


def record(engine: Engine, *numbers: int) -> None:
    """One entry each, in a transaction of its own."""
    for number in numbers:
        with engine.begin() as connection:
            audit.record_sync(connection, entry(number))


def sealed(engine: Engine, settings: Audit = KEY) -> None:
    """Seal all that waits, by a process that has just begun."""
    work = job.job(settings)
    while runner.run_slice(engine, work):
        pass


def fill(engine: Engine, rows: int = 10, settings: Audit = KEY) -> None:
    record(engine, *range(1, rows + 1))
    sealed(engine, settings)


def verified(engine: Engine, settings: Audit = KEY, *outside: Check) -> Report:
    seen = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with seen.connect() as connection:
        return verify(connection, settings.keys, outside)


def found(engine: Engine, settings: Audit = KEY, *outside: Check) -> tuple[str, int | None]:
    """Kind and seq of the first break; ("holds", None) without any."""
    broken = verified(engine, settings, *outside).broken
    return (broken.kind, broken.seq) if broken else ("holds", None)


@contextmanager
def attacking(engine: Engine) -> Iterator[Connection]:
    """SQL with every right: the triggers are off, no key is known."""
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        yield connection


def attack(engine: Engine, *statements: str) -> None:
    with attacking(engine) as connection:
        for statement in statements:
            connection.execute(text(statement))


def rewrite_seals(connection: Connection, first: int) -> None:
    """Make every hash from `first` on anew: the chain fits again, as it takes no secret."""
    before = connection.scalar(text(f"SELECT hash FROM audit_seal WHERE seq = {first - 1}"))
    digest = before or chain.ZERO
    for link in list(chain.links(connection, first)):
        assert link.row is not None
        digest = sha256(digest + link.row).digest()
        connection.execute(
            text("UPDATE audit_seal SET hash = :hash WHERE seq = :seq"),
            {"hash": digest, "seq": link.seq},
        )
    connection.execute(text("UPDATE audit_head SET hash = :hash"), {"hash": digest})


def age(engine: Engine, days: int) -> None:
    """Make all there is as if written that long before NOW, not sealed yet."""
    with attacking(engine) as connection:
        connection.execute(
            text("UPDATE audit SET at = CAST(:at AS timestamptz) + id * interval '1 second'"),
            {"at": NOW - timedelta(days=days)},
        )


def head(engine: Engine, settings: Audit = KEY) -> seal.Head:
    with engine.begin() as connection:
        return seal.head(connection, settings.keys, NOW)
