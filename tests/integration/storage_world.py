"""Old readings and uplinks, and the jobs that prune and compress them, run to their end."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine, text

from services.analytics import compression, retention
from services.analytics.runner import Progress, Slice
from shared.settings import Retention
from tests.integration import analytics_site as world

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
KEPT = Retention()
Work = Callable[[Connection, Progress], Slice]


def finish(engine: Engine, work: Work) -> int:
    """Run slices until no work waits, each in its own transaction; returns how many."""
    progress: Progress = {}
    for slices in range(1, 100):
        with engine.begin() as connection:
            done = work(connection, progress)
        if not done.more:
            return slices
        progress = done.progress
    raise AssertionError("never done")


def prune(engine: Engine, kept: Retention = KEPT, now: datetime = NOW) -> int:
    return finish(engine, lambda c, progress: retention.work(c, progress, (), kept, now))


def compress(engine: Engine, kept: Retention = KEPT, now: datetime = NOW) -> int:
    return finish(engine, lambda c, progress: compression.work(c, progress, kept, now))


def uplink(engine: Engine, observed: datetime, received: datetime) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO uplink (uplink_id, observed_at, received_at, source_id, device_id,
                                    topic, payload)
                VALUES (gen_random_uuid(), :observed, :received, 1, 1, 't', 'x')
            """),
            {"observed": observed, "received": received},
        )


def observed(engine: Engine) -> list[int]:
    """Age in days of each uplink's event."""
    found = world.rows(engine, "SELECT observed_at FROM uplink ORDER BY 1")
    return [(NOW - row["observed_at"]).days for row in found]


def fill(engine: Engine, days: int = 60) -> None:
    """Two gauges every half hour, until now."""
    with engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO reading
                SELECT t, id, round((2 + sin(extract(epoch FROM t) / 7000))::numeric, 2), 1
                FROM generate_series(CAST(:first AS timestamptz), :now, '30 min') AS t,
                     generate_series(1, 2) AS id
            """),
            {"first": NOW - days * DAY, "now": NOW},
        )
