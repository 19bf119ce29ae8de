"""What is kept for a while only: changes everyone has passed, raw feedback of 30 days."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from services.analytics import main, retention
from services.analytics.runner import run_slice
from shared.settings import Retention
from tests.integration import analytics_site as world

pytestmark = pytest.mark.database
Apply = Callable[[object], list[str]]
NOW = datetime(2026, 3, 10, 3, tzinfo=UTC)
DAY = timedelta(days=1)
FOLLOWERS = ("rollup", "outcomes")
KEPT = Retention()


def record(engine: Engine, *at: datetime) -> None:
    """One change per moment, each in a transaction of its own."""
    for moment in at:
        with engine.begin() as connection:
            connection.execute(
                text("INSERT INTO change (at, datastream_ids, hours) VALUES (:at, '{1}', :hours)"),
                {"at": moment, "hours": [moment]},
            )


def passed(engine: Engine, name: str, batch: int | None = None) -> None:
    """Job `name` has followed up to a batch, to the newest unless told."""
    with engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO job (name, progress)
                SELECT :name, jsonb_build_object('xid', xid::text::bigint, 'batch_id', batch_id)
                FROM change WHERE batch_id <= coalesce(:batch, batch_id)
                ORDER BY batch_id DESC LIMIT 1
                ON CONFLICT (name) DO UPDATE SET progress = excluded.progress
            """),
            {"name": name, "batch": batch},
        )


def pruned(engine: Engine, now: datetime = NOW) -> list[int]:
    """Prune until nothing is left to; returns the batches that stay."""
    with engine.begin() as connection:
        progress: dict[str, object] = {}
        while True:
            progress, more, _ = retention.work(connection, progress, FOLLOWERS, KEPT, now)
            if not more:
                break
    return [row["batch_id"] for row in world.rows(engine, "SELECT batch_id FROM change ORDER BY 1")]


def test_changes_go_when_all_have_passed_them_and_a_day_is_over(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHANGE_BATCHES", 1)
    monkeypatch.setattr(retention, "ROWS", 2)
    record(engine, *[NOW - 3 * DAY] * 5, *[NOW - DAY + timedelta(minutes=1)] * 2)
    assert pruned(engine) == [1, 2, 3, 4, 5, 6, 7]  # nobody has followed yet
    passed(engine, "rollup")
    assert pruned(engine) == [1, 2, 3, 4, 5, 6, 7]  # one of two has
    passed(engine, "outcomes", 3)
    assert pruned(engine) == [4, 5, 6, 7]
    passed(engine, "outcomes")
    passed(engine, "pilot:elsewhere", 4)
    assert pruned(engine) == [5, 6, 7]
    passed(engine, "pilot:elsewhere")
    assert pruned(engine) == [6, 7]
    assert pruned(engine, NOW + 9 * DAY) == [7]


def test_a_stream_that_comes_back_finds_the_newest_batches(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO change (at, datastream_ids, hours)
                SELECT :at, '{1}', ARRAY[:at] FROM generate_series(1, 1010)
            """),
            {"at": NOW - 9 * DAY},
        )
    for name in FOLLOWERS:
        passed(engine, name)
    assert pruned(engine) == list(range(11, 1011))


def test_raw_feedback_is_kept_30_days_and_the_request_stays(
    apply_site: Apply, engine: Engine
) -> None:
    apply_site(world.site())
    ages = (31 * DAY, 30 * DAY + timedelta(seconds=1), 30 * DAY, DAY)
    with engine.begin() as connection:
        for i, age in enumerate(ages):
            scope = {"id": f"00000000-0000-0000-0000-00000000000{i}", "at": NOW - age}
            connection.execute(
                text("INSERT INTO feedback_raw SELECT :id, :at, id, 'x' FROM site"), scope
            )
            connection.execute(
                text("""
                    INSERT INTO service_request (feedback_id, site_id, service_code, description,
                        requested_at, received_at, origin)
                    SELECT :id, id, 'water', 'x', :at, :at, 'simulated' FROM site
                """),
                scope,
            )
    pruned(engine)
    left = world.rows(engine, "SELECT received_at FROM feedback_raw ORDER BY 1")
    assert [row["received_at"] for row in left] == [NOW - 30 * DAY, NOW - DAY]
    assert world.rows(engine, "SELECT count(*) AS n FROM service_request") == [{"n": 4}]


def test_it_looks_once_an_hour(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "CHANGE_BATCHES", 1)
    with engine.begin() as connection:
        done = retention.work(connection, {}, FOLLOWERS, KEPT, NOW)
    record(engine, NOW - 3 * DAY, NOW)
    for name in FOLLOWERS:
        passed(engine, name)
    for later, left in ((59, 2), (60, 1)):
        with engine.begin() as connection:
            now = NOW + timedelta(minutes=later)
            retention.work(connection, done.progress, FOLLOWERS, KEPT, now)
        assert len(world.rows(engine, "SELECT FROM change")) == left


def test_the_service_runs_it_calmly_behind_every_follower(engine: Engine) -> None:
    job = main.jobs()[-1]
    assert (job.name, job.calm) == ("retention", True)
    record(engine, *[NOW - 900 * DAY] * 1001)
    for name in ("rollup", "outcomes", "pilot:flood"):
        passed(engine, name)
    while run_slice(engine, job):
        pass
    assert len(world.rows(engine, "SELECT FROM change")) == 1001  # pilot:metering has yet to run
    world.settle(engine)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM job WHERE name = 'retention'"))
    while run_slice(engine, job):
        pass
    assert len(world.rows(engine, "SELECT FROM change")) == 1000
