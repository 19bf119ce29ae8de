"""Job `retention`: what is kept for a while only, removed in slices."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Final

from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, TextClause, text
from sqlalchemy.exc import OperationalError

from services.analytics import follow
from services.analytics.runner import Job, Progress, Slice
from shared.db import timescale
from shared.db.change import Position
from shared.settings import Retention

EVERY: Final = timedelta(hours=1)
ROWS: Final = 10_000  # of each table in one slice
LOCK_PATIENCE: Final = "2s"  # who waits for a chunk's lock holds up writers behind it
CHANGE_FOR: Final = timedelta(hours=24)
CHANGE_BATCHES: Final = 1_000  # a live stream that comes back is told up to 520 batches

_POSITIONS: Final = text("SELECT name, progress FROM job WHERE progress ? 'xid'")
# The rows followed first are looked at, not searched for old ones: most of the table is young.
_PRUNE_CHANGE: Final = text("""
    DELETE FROM change USING (
        SELECT batch_id AS first FROM change ORDER BY xid, batch_id LIMIT :rows
    ) AS oldest
    WHERE batch_id = oldest.first AND at < :before
      AND (xid, batch_id) <= (CAST(CAST(:xid AS text) AS xid8), :batch_id)
      AND batch_id <= (SELECT max(batch_id) FROM change) - :kept
""")
_PRUNE_UPLINK: Final = text("""
    DELETE FROM uplink WHERE ctid IN (
        SELECT ctid FROM uplink WHERE received_at < :before LIMIT :rows
    )
""")
_PRUNE_REJECTED: Final = text("""
    DELETE FROM rejected WHERE reject_id IN (
        SELECT reject_id FROM rejected WHERE received_at < :before LIMIT :rows
    )
""")
_PRUNE_FEEDBACK: Final = text("""
    DELETE FROM feedback_raw WHERE feedback_id IN (
        SELECT feedback_id FROM feedback_raw WHERE received_at < :before LIMIT :rows
    )
""")


def job(followers: Collection[str], kept: Retention) -> Job:
    """The job that prunes; changes only when each of the jobs `followers` has passed them."""
    names = frozenset(followers)
    return Job(
        "retention", lambda connection, progress: work(connection, progress, names, kept), calm=True
    )


def work(
    connection: Connection,
    progress: Progress,
    followers: Collection[str],
    kept: Retention,
    now: datetime | None = None,
) -> Slice:
    """One slice; a pass without anything left to remove ends the work for an hour."""
    now = now or datetime.now(UTC)
    swept = progress.get("swept")
    if swept and now < datetime.fromisoformat(swept) + EVERY:
        return Slice(progress, more=False)
    removed = prune_change(connection, followers, now)
    for prune, days in (
        (prune_uplink, kept.uplink_days),
        (prune_rejected, kept.rejected_days),
        (prune_feedback, kept.feedback_days),
    ):
        removed += prune(connection, now - timedelta(days=days)) if days else 0
    return Slice(progress if removed else {"swept": now.isoformat()}, more=removed > 0)


def prune_change(connection: Connection, followers: Collection[str], now: datetime) -> int:
    """Remove changes older than a day that every follower has passed; returns how many.

    Every job row with a position holds changes back, also of a pilot kind this release lacks:
    its row is deleted by hand when it is not to come back. The newest 1,000 batches always stay.
    """
    positions = {row.name: follow.position(row.progress) for row in connection.execute(_POSITIONS)}
    if not set(followers) <= positions.keys():
        return 0  # one has yet to run and will begin with the first change
    passed = min(positions.values(), default=Position())
    return connection.execute(
        _PRUNE_CHANGE,
        {
            **passed._asdict(),
            "before": now - CHANGE_FOR,
            "kept": CHANGE_BATCHES,
            "rows": ROWS,
        },
    ).rowcount


def prune_uplink(connection: Connection, before: datetime) -> int:
    """Remove raw uplinks received before a time; returns how many rows, or chunks.

    Chunks go whole, one a slice, when the last of their uplinks is old enough: what arrives late
    keeps its chunk. The ledger still counts what is gone.
    """
    if timescale.edition(connection) == "plain":
        return _removed(connection, _PRUNE_UPLINK, before)
    for chunk in timescale.chunks(connection, "uplink", before):
        young = text(f"SELECT EXISTS (SELECT FROM {chunk} WHERE received_at >= :before)")
        if not connection.scalar(young, {"before": before}):
            return int(patient(connection, timescale.drop, "uplink", chunk))
    return 0


def prune_rejected(connection: Connection, before: datetime) -> int:
    """Remove rejects received before a time; they can then no longer be driven again."""
    return _removed(connection, _PRUNE_REJECTED, before)


def prune_feedback(connection: Connection, before: datetime) -> int:
    """Remove raw feedback received before a time; the scrubbed requests made of it stay."""
    return _removed(connection, _PRUNE_FEEDBACK, before)


def patient(connection: Connection, act: Callable[..., None], *arguments: str) -> bool:
    """Do what needs a chunk for itself; False when a dump or a writer has it: later then."""
    try:
        with connection.begin_nested():
            connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_PATIENCE}'"))
            act(connection, *arguments)
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            return False
        raise
    return True


def _removed(connection: Connection, statement: TextClause, before: datetime) -> int:
    return connection.execute(statement, {"before": before, "rows": ROWS}).rowcount
