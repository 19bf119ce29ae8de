"""The service: starts, is woken by commits, survives failures, stops."""

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Connection, Engine, text

from services.analytics import main, pilot
from services.analytics.outcomes.metric import Metric, metrics
from services.analytics.runner import Job, Progress, Slice, run_slice
from services.analytics.schedule import Runner
from shared.db import change, migrate
from shared.db.engine import sync_engine
from shared.embedded import postgres
from shared.embedded.nats import free_port
from shared.errors import OperatorError
from shared.settings import Analytics, Database
from tests.integration import analytics_site as world

pytestmark = pytest.mark.database
Apply = Callable[[object], list[str]]
NOW = datetime(2026, 3, 1, 3, tzinfo=UTC)


@contextmanager
def service(database: Database, **settings: float) -> Iterator[threading.Event]:
    """The service in a thread; it must have ended when the context does."""
    stop = threading.Event()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            main.run(database, Analytics.model_validate(settings), stop)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()
    assert failed == []


def until(true: Callable[[], object], patience_s: float = 60) -> None:
    give_up = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < give_up, "did not come about"
        time.sleep(0.05)


def test_a_commit_wakes_it_long_before_its_period(
    database: Database, engine: Engine, apply_site: Apply
) -> None:
    apply_site(world.site(("g1", "gauge")))
    with service(database, every_s=3600):
        until(lambda: world.rows(engine, "SELECT FROM job WHERE name = 'rollup'"))
        gauge = world.datastream(engine, "g1", "water_level")
        with engine.begin() as connection:
            connection.execute(
                text("INSERT INTO reading VALUES (:time, :id, 0.9, 1)"), {"time": NOW, "id": gauge}
            )
            change.record(connection, [(gauge, NOW)])
        until(lambda: world.rows(engine, "SELECT FROM reading_hourly"))
        until(lambda: world.rows(engine, "SELECT FROM finding"))


def test_it_describes_what_it_can_do(database: Database, engine: Engine) -> None:
    with service(database, every_s=3600):
        until(lambda: world.rows(engine, "SELECT FROM job"))
    kinds = world.rows(engine, "SELECT kind, description FROM pilot_kind ORDER BY kind")
    assert [row["kind"] for row in kinds] == sorted(pilot.kinds())
    by_kind = {row["kind"]: row["description"] for row in kinds}
    assert by_kind["metering"]["derives"] == ["water_consumption", "water_consumption_daily"]
    assert by_kind["flood"]["panels"][0]["property"] == "water_level"
    metrics = world.rows(engine, "SELECT metric, description FROM metric_definition ORDER BY 1")
    assert [(row["metric"], row["description"]["name"]) for row in metrics] == [
        ("P1-01", "device_activation"),
        ("P1-02", "data_completeness"),
        ("P1-05", "ingest_latency_p95"),
    ]


def other_metrics(**changed: object) -> Callable[[], dict[str, Metric]]:
    """What another release would measure."""
    metric = metrics()["data_completeness"]
    return lambda: {metric.name: dataclasses.replace(metric, **changed)}  # type: ignore[arg-type]


@pytest.mark.parametrize("changed", [{"gate": 0.5}, {"n_min": 1}, {"formula": "as you like it"}])
def test_a_definition_keeps_its_meaning(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, changed: dict[str, object]
) -> None:
    main.describe(engine)
    before = world.rows(engine, "SELECT * FROM metric_definition ORDER BY metric")
    monkeypatch.setattr(main, "metrics", other_metrics(**changed))
    with pytest.raises(OperatorError, match=f"P1-02: {next(iter(changed))} .* raise its def_ver"):
        main.describe(engine)
    assert world.rows(engine, "SELECT * FROM metric_definition ORDER BY metric") == before
    monkeypatch.setattr(main, "metrics", other_metrics(**changed, def_version=2))
    main.describe(engine)
    after = world.rows(engine, "SELECT count(*) AS n FROM metric_definition")
    assert after == [{"n": len(before) + 1}]


def test_the_wording_of_a_definition_may_change(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    main.describe(engine)
    monkeypatch.setattr(main, "metrics", other_metrics(label="Completeness of data"))
    main.describe(engine)
    (stored,) = world.rows(
        engine, "SELECT description FROM metric_definition WHERE metric = 'P1-02'"
    )
    assert stored["description"]["label"] == "Completeness of data"


def test_health_and_metrics_are_served(database: Database, engine: Engine) -> None:
    port = free_port()
    with service(database, every_s=0.2, health_port=port):
        until(lambda: world.rows(engine, "SELECT FROM job"))
        answer = httpx.get(f"http://127.0.0.1:{port}/healthz")
        assert (answer.status_code, answer.json()["ok"]) == (200, True)
        assert "lab_analytics_job_seconds" in httpx.get(f"http://127.0.0.1:{port}/metrics").text


def test_a_lost_database_is_waited_for(tmp_path: Path) -> None:
    directory = tmp_path / "pg"
    with postgres.running(directory) as url:
        database = Database(url=url)
        engine = sync_engine(database)
        migrate.upgrade(engine)
        running = service(database, every_s=0.2)
        running.__enter__()
        until(lambda: world.rows(engine, "SELECT FROM job WHERE name = 'rollup'"))
        engine.dispose()
    try:
        time.sleep(0.6)
        with postgres.running(directory) as url:
            assert url == database.url
            with engine.begin() as connection:
                connection.execute(text("DELETE FROM job"))
            until(lambda: world.rows(engine, "SELECT FROM job WHERE name = 'rollup'"))
            engine.dispose()
    finally:  # and stops although the database is gone again
        running.__exit__(None, None, None)


def test_a_failing_slice_is_rolled_back_stored_and_cleared(engine: Engine) -> None:
    fails = True

    def work(connection: Connection, progress: Progress) -> Slice:
        connection.execute(text("INSERT INTO job (name) VALUES ('half-done')"))
        if fails:
            raise ValueError("bad cell")
        return Slice({"runs": progress.get("runs", 0) + 1}, more=False)

    job = Job("test", work)
    with pytest.raises(ValueError, match="bad cell"):
        run_slice(engine, job)
    assert world.rows(engine, "SELECT name, progress, error FROM job") == [
        {"name": "test", "progress": {}, "error": "ValueError: bad cell"}
    ]
    fails = False
    run_slice(engine, job)
    assert world.rows(engine, "SELECT progress, error FROM job WHERE name = 'test'") == [
        {"progress": {"runs": 1}, "error": None}
    ]


def test_one_worker_holds_a_job(engine: Engine) -> None:
    ran: list[int] = []

    def work(_: Connection, progress: Progress) -> Slice:
        ran.append(1)
        if len(ran) == 1:
            assert run_slice(engine, job) is False  # another worker, while this slice runs
        return Slice(progress, more=False)

    job = Job("test", work)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO job (name) VALUES ('test')"))
    run_slice(engine, job)
    assert ran == [1]


def test_an_old_schema_is_refused_at_start(new_database: Callable[[str], Database]) -> None:
    database = new_database("lab_test_empty")
    with pytest.raises(migrate.SchemaError, match="lab db upgrade"):
        main.run(database, Analytics(), threading.Event())


def test_a_commit_held_back_by_an_older_transaction_wakes_it_when_that_ends(
    database: Database, engine: Engine, apply_site: Apply
) -> None:
    apply_site(world.site(("g1", "gauge")))
    gauge = world.datastream(engine, "g1", "water_level")
    with service(database, every_s=3600):
        until(lambda: world.rows(engine, "SELECT FROM job WHERE name = 'retention'"))
        with engine.connect() as older:
            older.execute(text("SELECT pg_current_xact_id()"))
            with engine.begin() as connection:
                connection.execute(
                    text("INSERT INTO reading VALUES (:time, :id, 0.9, 1)"),
                    {"time": NOW, "id": gauge},
                )
                change.record(connection, [(gauge, NOW)])
            time.sleep(1)
            assert not world.rows(engine, "SELECT FROM reading_hourly")
        until(lambda: world.rows(engine, "SELECT FROM reading_hourly"))


def test_a_wake_during_a_run_is_followed_by_another(engine: Engine) -> None:
    entered, go, runs = threading.Event(), threading.Event(), []

    def work(_: Connection, progress: Progress) -> Slice:
        runs.append(1)
        entered.set()
        go.wait(10)
        return Slice(progress, more=False)

    runner = Runner(Job("slow", work), engine, threading.Event(), 3600)
    thread = threading.Thread(target=runner)
    thread.start()
    assert entered.wait(60)
    runner()  # returns at once: somebody is at it
    assert runs == [1]
    go.set()
    thread.join(10)
    assert runs == [1, 1]
