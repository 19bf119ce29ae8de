"""Job `compression`: old chunks go to the columnstore, on TimescaleDB community only."""

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from services.analytics.retention import patient
from services.analytics.runner import Job, Progress, Slice
from shared.db import timescale
from shared.settings import Retention

EVERY: Final = timedelta(hours=1)
TABLES: Final = ("reading", "uplink")


def job(kept: Retention) -> Job:
    """The job that compresses chunks older than `kept.compress_days`; other editions: nothing."""
    return Job(
        "compression", lambda connection, progress: work(connection, progress, kept), calm=True
    )


def work(
    connection: Connection, progress: Progress, kept: Retention, now: datetime | None = None
) -> Slice:
    """One chunk a slice; also those that late data opened again. Then nothing for an hour.

    Each has one turn a sweep: what keeps arriving in an old one holds up no other.
    """
    now = now or datetime.now(UTC)
    swept = progress.get("swept")
    if not kept.compress_days or (swept and now < datetime.fromisoformat(swept) + EVERY):
        return Slice(progress, more=False)
    before, done = now - timedelta(days=kept.compress_days), progress.get("done", [])
    for table in TABLES:
        for chunk in timescale.uncompressed(connection, table, before):
            if chunk not in done and patient(connection, timescale.compress, chunk):
                return Slice({"done": [*done, chunk]}, more=True)
    return Slice({"swept": now.isoformat()}, more=False)
