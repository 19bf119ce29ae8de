"""Job `retention`: what is kept for a while only, removed in slices."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

from services.analytics import follow
from services.analytics.runner import Job, Progress, Slice
from shared.db.change import Position

EVERY: Final = timedelta(hours=1)
ROWS: Final = 10_000  # of each table in one slice
CHANGE_FOR: Final = timedelta(hours=24)
CHANGE_BATCHES: Final = 1_000  # a live stream that comes back is told up to 520 batches
FEEDBACK_FOR: Final = timedelta(days=30)

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
_PRUNE_FEEDBACK: Final = text("""
    DELETE FROM feedback_raw WHERE feedback_id IN (
        SELECT feedback_id FROM feedback_raw WHERE received_at < :before LIMIT :rows
    )
""")


def job(followers: Collection[str]) -> Job:
    """The job that prunes; changes only when each of the jobs `followers` has passed them."""
    names = frozenset(followers)
    return Job(
        "retention", lambda connection, progress: work(connection, progress, names), calm=True
    )


def work(
    connection: Connection,
    progress: Progress,
    followers: Collection[str],
    now: datetime | None = None,
) -> Slice:
    """One slice; a pass without anything left to remove ends the work for an hour."""
    now = now or datetime.now(UTC)
    swept = progress.get("swept")
    if swept and now < datetime.fromisoformat(swept) + EVERY:
        return Slice(progress, more=False)
    removed = prune_change(connection, followers, now) + prune_feedback(connection, now)
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


def prune_feedback(connection: Connection, now: datetime) -> int:
    """Remove raw feedback older than 30 days; the scrubbed requests made of it stay."""
    scope = {"before": now - FEEDBACK_FOR, "rows": ROWS}
    return connection.execute(_PRUNE_FEEDBACK, scope).rowcount
