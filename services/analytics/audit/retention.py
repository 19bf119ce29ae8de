"""Job `audit_retention`: old rows go, up to a place that is signed first."""

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

from services.analytics.audit.chain import links
from services.analytics.audit.seal import ChainBroken, anchor
from services.analytics.audit.sign import Place, signed, vouched
from services.analytics.audit.verify import begin, places
from services.analytics.runner import Job, Progress, Slice
from shared.settings import Audit

EVERY: Final = timedelta(hours=1)
ROWS: Final = 10_000

# The oldest seals up to the first young row: those in between go.
_OLD: Final = text("""
    WITH oldest AS (
        SELECT seq, hash, (SELECT at FROM audit WHERE id = audit_id) AS at
        FROM audit_seal ORDER BY seq LIMIT :rows
    )
    SELECT seq, hash FROM oldest
    WHERE seq < coalesce((SELECT min(seq) FROM oldest WHERE at >= :before), 9223372036854775807)
    ORDER BY seq DESC LIMIT 1
""")
_REMOVE: Final = (
    text("DELETE FROM audit USING audit_seal WHERE audit_id = audit.id AND seq <= :seq"),
    text("DELETE FROM audit_seal WHERE seq <= :seq"),
    text("DELETE FROM audit_anchor WHERE seq < :seq"),
)


def job(settings: Audit) -> Job:
    """The job that removes what is older than `retention_days`; without a key nothing goes."""
    return Job(
        "audit_retention",
        lambda connection, progress: work(connection, progress, settings),
        calm=True,
    )


def work(
    connection: Connection, progress: Progress, settings: Audit, now: datetime | None = None
) -> Slice:
    """One slice; a pass without anything left to remove ends the work for an hour."""
    now = now or datetime.now(UTC)
    swept = progress.get("swept")
    waits = swept and now < datetime.fromisoformat(swept) + EVERY
    if waits or not settings.retention_days or not settings.keys:
        return Slice(progress, more=False)
    before = now - timedelta(days=settings.retention_days)
    if prune(connection, settings.keys, before, now):
        return Slice(progress, more=True)
    return Slice({"swept": now.isoformat()}, more=False)


def prune(connection: Connection, keys: tuple[bytes, ...], before: datetime, now: datetime) -> int:
    """Remove sealed rows of before, as far as they hold; returns up to which seq, 0 for none.

    Raises ChainBroken: what is broken is evidence and stays.
    """
    row = connection.execute(_OLD, {"before": before, "rows": ROWS}).one_or_none()
    if row is None:
        return 0
    walk, broken = begin(connection, [each for each in places(connection) if vouched(each, keys)])
    broken = broken or walk.follow(links(connection, last=row.seq))
    if broken:
        raise ChainBroken(
            f"audit: nothing is removed: {broken.kind} at {broken.seq}: {broken.what}"
        )
    anchor(connection, signed(Place("start", row.seq, row.hash, now), keys))
    connection.execute(text("SET LOCAL lab.audit_unlocked = 'retention'"))
    for remove in _REMOVE:
        connection.execute(remove, {"seq": row.seq})
    return int(row.seq)
