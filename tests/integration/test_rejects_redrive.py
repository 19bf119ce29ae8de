"""Refusals taken in after all: by ingest's own task, from API and shell, never counted twice."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from services.ingest import task_runner
from services.ingest.beside import running
from services.ingest.tasks import redrive
from shared.db import task as tasks
from shared.db.task import Asked
from shared.settings import Database
from tests import people
from tests.integration import api_world
from tests.integration.test_cli import lab
from tests.integration.test_site_apply import SITE
from tests.integration.written import Ingest, writing

pytestmark = pytest.mark.database
AT = datetime(2026, 3, 1, 6, 59, tzinfo=UTC)
GHOST = "livinglab/cibinong/ghost/up"
Apply = Callable[..., Any]


@pytest.fixture
def ingest(database: Database, engine: Engine, apply_site: Apply) -> Iterator[Ingest]:
    apply_site(SITE)
    with writing(database, engine) as made:
        yield made


def up(i: int, **more: Any) -> dict[str, Any]:
    return {"time": (AT + timedelta(minutes=i)).isoformat(), "values": {"level": 10 + i}, **more}


def refuse(ingest: Ingest, count: int) -> None:
    """Messages of a device that nobody has registered yet."""
    for i in range(count):
        ingest.send(GHOST, up(i), AT + timedelta(minutes=i))


def register(apply_site: Apply, key: str = "ghost") -> None:
    content: dict[str, Any] = deepcopy(SITE)
    content["devices"].append(
        {"key": key, "pilot": "flood", "profile": "gauge", "source": "plain", "origin": "simulated"}
    )
    apply_site(content)


def ask(engine: Engine, **args: Any) -> int:
    with engine.begin() as connection:
        args = {"limit": 10_000, "dry_run": False, **args}
        return tasks.ask(connection, "redrive", args, site_id=None, requested_by="test").id


def done(database: Database, engine: Engine, **args: Any) -> dict[str, Any]:
    """The result of a redrive that was asked for, done at once."""
    number = ask(engine, **args)
    desk = task_runner.at_desk(database, threading.Event())
    assert task_runner.perform(desk, number)
    desk.close()
    found = stand(engine, number)
    assert found.state == "done", found.result
    return dict(found.result or {})


def stand(engine: Engine, number: int) -> Asked:
    with engine.connect() as connection:
        found = tasks.find(connection, number)
    assert found is not None
    return found


def test_a_key_moves_from_rejected_to_stored_at_the_time_it_was_received(
    ingest: Ingest, database: Database, engine: Engine, apply_site: Apply
) -> None:
    refuse(ingest, 3)
    assert ingest.counted() == {"rejected:unknown_device": 3}
    assert done(database, engine)["refused"] == {"unknown_device": 3}
    assert ingest.counted() == {"rejected:unknown_device": 3}
    register(apply_site)
    would = done(database, engine, dry_run=True)
    assert (would["stored"], would["dry_run"]) == (3, True)
    assert ingest.counted() == {"rejected:unknown_device": 3}
    assert done(database, engine) == {
        **{"handled": 3, "stored": 3, "repeats": 0, "refused": {}, "dry_run": False}
    }
    assert ingest.counted() == {"stored": 3}
    hours = "SELECT DISTINCT hour FROM ledger WHERE kind = 'stored' ORDER BY hour"
    assert [row["hour"].hour for row in ingest.rows(hours)] == [6, 7]
    (first,) = ingest.rows("SELECT min(received_at) AS at FROM uplink")
    assert first["at"] == AT
    assert ingest.rows("SELECT FROM rejected") == []
    values = ingest.rows("SELECT value FROM reading ORDER BY time")
    assert [row["value"] for row in values] == pytest.approx([0.10, 0.11, 0.12])
    assert ingest.rows("SELECT FROM change")


def test_what_is_refused_again_stays_under_its_new_reason(
    ingest: Ingest, database: Database, engine: Engine, apply_site: Apply
) -> None:
    ingest.send(GHOST, {"time": "2000-01-01T00:00:00Z", "values": {"level": 1}}, AT)
    ingest.send(GHOST, b"{", AT)
    ingest.send("nowhere/at/all", b"{}", AT)
    register(apply_site)
    told = done(database, engine, reason="unknown_device")
    assert (told["handled"], told["refused"]) == (1, {"bad_clock": 1})
    assert ingest.counted() == {
        **{"rejected:bad_clock": 1, "rejected:bad_json": 1, "rejected:unknown_source": 1}
    }
    (row,) = ingest.rows("""
        SELECT detail, device.key FROM rejected JOIN device ON device.id = device_id
    """)
    assert row["key"] == "ghost"
    assert "2000-01-01" in row["detail"]


def test_what_came_again_meanwhile_is_a_repeat_and_no_reject(
    ingest: Ingest, database: Database, engine: Engine, apply_site: Apply
) -> None:
    ingest.send(GHOST, up(0, id="one"), AT)
    register(apply_site)
    ingest.renew()
    ingest.send(GHOST, up(0, id="one", note="the same key in other bytes"), AT)
    assert ingest.counted() == {"stored": 1, "rejected:unknown_device": 1}
    told = done(database, engine)
    assert (told["stored"], told["repeats"]) == (0, 1)
    assert ingest.counted() == {"stored": 1, "repeat": 1}
    assert ingest.rows("SELECT FROM rejected") == []


def test_what_the_database_refuses_is_found_among_the_others(
    ingest: Ingest, database: Database, engine: Engine, apply_site: Apply
) -> None:
    refuse(ingest, 5)
    register(apply_site)
    with engine.begin() as connection:
        connection.execute(
            text("ALTER TABLE reading ADD CONSTRAINT odd CHECK (value NOT BETWEEN .115 AND .125)")
        )
    try:
        told = done(database, engine)
    finally:
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE reading DROP CONSTRAINT odd"))
    assert (told["handled"], told["stored"], told["refused"]) == (5, 4, {"db_refused": 1})
    assert ingest.counted() == {"stored": 4, "rejected:db_refused": 1}
    assert done(database, engine)["stored"] == 1
    assert ingest.counted() == {"stored": 5}


def test_ingest_stopped_in_the_middle_goes_on_and_counts_each_once(
    ingest: Ingest,
    database: Database,
    engine: Engine,
    apply_site: Apply,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redrive, "AT_ONCE", 4)
    refuse(ingest, 10)
    register(apply_site)
    number = ask(engine)
    stop = threading.Event()
    desk = task_runner.at_desk(database, stop)
    prepare = desk.prepare

    def stopped_meanwhile(batch: Any, *, add: bool) -> Any:
        stop.set()
        return prepare(batch, add=add)

    monkeypatch.setattr(desk, "prepare", stopped_meanwhile)
    assert task_runner.perform(desk, number)
    desk.close()
    assert (stand(engine, number).state, stand(engine, number).progress["handled"]) == (
        "running",
        4,
    )
    second = task_runner.at_desk(database, threading.Event())
    assert task_runner.perform(second, number)
    second.close()
    assert stand(engine, number).result == {
        **{"handled": 10, "stored": 10, "repeats": 0, "refused": {}, "dry_run": False}
    }
    assert ingest.counted() == {"stored": 10}


def test_a_running_ingest_does_what_is_asked_and_one_at_a_time(
    ingest: Ingest, database: Database, engine: Engine, apply_site: Apply
) -> None:
    refuse(ingest, 3)
    register(apply_site)
    with ExitStack() as both:
        for _ in range(2):
            both.enter_context(running("tasks", task_runner.follow, database, 1.0))
        numbers = [ask(engine) for _ in range(3)]
        patience = time.monotonic() + 60
        while any(stand(engine, each).state != "done" for each in numbers):
            assert time.monotonic() < patience
            time.sleep(0.05)
    assert "tasks" not in {thread.name for thread in threading.enumerate()}
    handled = [(stand(engine, each).result or {})["stored"] for each in numbers]
    assert sum(handled) == 3
    assert ingest.counted() == {"stored": 3}


def test_the_shell_lists_shows_and_redrives(
    ingest: Ingest, database: Database, apply_site: Apply
) -> None:
    refuse(ingest, 2)
    ingest.send(GHOST, b"\xff\x00", AT)
    variables = {"LAB_DATABASE_URL": database.url}
    listed = lab("rejects", "list", "--about", "GHOST", **variables).stdout.splitlines()
    assert listed[0].split() == ["2", "message", "unknown_device"]
    assert (
        sum("device 'ghost' of site 'cibinong' is in no site file" in line for line in listed) == 2
    )
    (bad,) = [
        json.loads(line)
        for line in lab(
            "rejects", "list", "--reason", "bad_json", "--json", **variables
        ).stdout.splitlines()
    ]
    shown = lab("rejects", "show", bad["reject_id"], **variables).stdout
    assert shown.endswith("ff 00\n")
    register(apply_site)
    told = lab(
        "rejects", "redrive", "--reason", "unknown_device", "--why", "registered", **variables
    )
    assert told.returncode == 0, told.stderr
    assert "stored           2" in told.stdout
    assert ingest.counted() == {"stored": 2, "rejected:bad_json": 1}
    audited = ingest.rows("SELECT action, object, why FROM audit ORDER BY id")
    assert [row["object"].split("/")[0] for row in audited] == ["reject", "task"]
    assert audited[1]["why"] == "registered"


async def test_the_api_shows_refusals_and_asks_for_a_redrive(
    ingest: Ingest, database: Database, engine: Engine, apply_site: Apply
) -> None:
    refuse(ingest, 2)
    ingest.send("livinglab/cibinong/g1/up", up(1), AT)
    ingest.send("livinglab/cibinong/g1/up", {**up(1), "values": {"level": 99}}, AT)
    key = people.add(engine, "operator", ["cibinong"])
    async with api_world.api(database, key) as client:
        found = (await client.get("/v1/rejects?about=ghost&limit=1")).json()
        assert len(found["items"]) == 1
        assert found["next"]
        one = (await client.get(f"/v1/rejects/{found['items'][0]['reject_id']}")).json()
        assert one["reason"] == "unknown_device"
        assert one["payload"]
        (conflict,) = (await client.get("/v1/rejects?reason=conflict")).json()["items"]
        assert conflict["conflict"]["property"] == "water_level"
        assert conflict["conflict"]["arrived"] == pytest.approx(0.99)
        assert conflict["conflict"]["stored"] == pytest.approx(0.11)
        register(apply_site)
        made = await client.post("/v1/redrive", json={"reason": "unknown_device"})
        assert made.status_code == 201, made.text
        assert (made.json()["state"], made.json()["site"]) == ("waiting", "cibinong")
        desk = task_runner.at_desk(database, threading.Event())
        assert task_runner.perform(desk, made.json()["id"])
        desk.close()
        ended = (await client.get(f"/v1/tasks/{made.json()['id']}")).json()
        assert (ended["state"], ended["result"]["stored"]) == ("done", 2)
        assert [each["id"] for each in (await client.get("/v1/tasks")).json()["items"]] == [1]
        assert (await client.post("/v1/redrive", json={"site": "x"})).status_code == 404
        assert (await client.post("/v1/redrive", json={"limit": 0})).status_code == 422
