"""Raw uplinks decoded again: what changes, what stays, going on after a kill, and never twice."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from services.analytics import rollup, runner
from services.ingest import task_runner
from services.ingest.tasks import reprocess
from shared.db import task as tasks
from shared.settings import Database
from tests import people
from tests.integration import api_world
from tests.integration.test_cli import lab
from tests.integration.test_site_apply import SITE
from tests.integration.written import Ingest, batches, message, writing

pytestmark = pytest.mark.database
AT = datetime(2026, 3, 1, tzinfo=UTC)
UP = "livinglab/cibinong/g1/up"
COUNT = 300
SECOND = timedelta(seconds=1)
Apply = Callable[..., Any]
READINGS = """
    SELECT property, time, value, quality FROM reading
    JOIN datastream ON datastream.id = datastream_id ORDER BY 1, 2
"""


@pytest.fixture
def ingest(database: Database, engine: Engine, apply_site: Apply) -> Iterator[Ingest]:
    apply_site(SITE)
    with writing(database, engine) as made:
        yield made


def fill(ingest: Ingest, count: int = COUNT) -> None:
    """Levels in cm by the profile, and a temperature that no profile maps yet."""
    sent = [
        message(UP, {"time": _at(i).isoformat(), "values": {"level": i % 90, "temp": 20}}, _at(i))
        for i in range(count)
    ]
    for batch in batches(sent, 500):
        ingest.take(batch)


def _at(i: int) -> datetime:
    return AT + timedelta(minutes=10 * i)


def correct(apply_site: Apply, fields: dict[str, Any]) -> None:
    """The profile says something else from now on."""
    content: dict[str, Any] = deepcopy(SITE)
    content["profiles"][0]["fields"] = fields
    apply_site(content)


METRES = {"level": {"property": "water_level", "unit": "m"}}
CENTIMETRES = {"level": {"property": "water_level", "unit": "cm"}}
TEMPERATURE = {"temp": {"property": "air_temperature"}}


def done(database: Database, engine: Engine, **args: Any) -> dict[str, Any]:
    with engine.begin() as connection:
        given = {"device": "g1", **args}
        asked = tasks.ask(connection, "reprocess", given, site_id=None, requested_by="test")
    desk = task_runner.at_desk(database, threading.Event())
    assert task_runner.perform(desk, asked.id)
    desk.close()
    with engine.connect() as connection:
        found = tasks.find(connection, asked.id)
    assert found is not None
    assert found.state == "done", found.result
    return {name: n for name, n in (found.result or {}).items() if n}


def test_a_corrected_profile_replaces_values_and_keeps_the_old_ones(
    ingest: Ingest, database: Database, engine: Engine, apply_site: Apply
) -> None:
    fill(ingest)
    rolled_up(engine)
    before = ingest.rows(READINGS)
    correct(apply_site, METRES | TEMPERATURE)
    same = COUNT // 90 + (COUNT % 90 > 0)  # nought is nought in any unit
    told = {
        **{"devices": 1, "uplinks": COUNT, "equal": same},
        **{"changed": COUNT - same, "added": COUNT},
    }
    assert done(database, engine, dry_run=True) == {**told, "dry_run": True}
    assert ingest.rows(READINGS) == before
    assert done(database, engine) == told
    after = ingest.rows(READINGS)
    levels = [row for row in after if row["property"] == "water_level"]
    assert [row["value"] for row in levels] == [float(i % 90) for i in range(COUNT)]
    assert len(after) == 2 * COUNT
    kept = ingest.rows("SELECT revision, time, value FROM reading_superseded ORDER BY time")
    old = [row for row in before if row["value"]]
    assert [(row["time"], row["value"]) for row in kept] == [(r["time"], r["value"]) for r in old]
    assert {row["revision"] for row in kept} == {2}
    assert done(database, engine) == {"devices": 1, "uplinks": COUNT, "equal": 2 * COUNT}
    rolled_up(engine)
    (top,) = ingest.rows("SELECT max(max) AS top, sum(n) AS n FROM reading_hourly")
    assert (top["top"], top["n"]) == (89.0, 2 * COUNT)
    assert ingest.rows("SELECT FROM rejected WHERE reason = 'unmapped'") == []


def rolled_up(engine: Engine) -> None:
    while runner.run_slice(engine, rollup.JOB):
        pass


def test_a_field_taken_out_removes_what_came_of_it_within_the_span_alone(
    ingest: Ingest, database: Database, engine: Engine, apply_site: Apply
) -> None:
    fill(ingest, 30)
    correct(apply_site, TEMPERATURE)
    span = {"from": _at(10).isoformat(), "to": _at(20).isoformat()}
    assert done(database, engine, **span) == {
        **{"devices": 1, "uplinks": 10, "removed": 10, "added": 10}
    }
    left = ingest.rows(READINGS)
    assert [r["time"] for r in left if r["property"] == "air_temperature"] == [
        _at(i) for i in range(10, 20)
    ]
    assert len([r for r in left if r["property"] == "water_level"]) == 20


def test_what_no_kept_message_speaks_of_stays(
    ingest: Ingest, database: Database, engine: Engine, apply_site: Apply
) -> None:
    fill(ingest, 20)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM uplink WHERE observed_at < :at"), {"at": _at(10)})
    correct(apply_site, METRES)
    told = done(database, engine, **{"from": _at(5).isoformat()})
    assert (told["uplinks"], told["changed"]) == (10, 10)
    values = [row["value"] for row in ingest.rows(READINGS)]
    assert values[:10] == pytest.approx([i / 100 for i in range(10)])
    assert values[10:] == [float(i) for i in range(10, 20)]


def test_of_two_values_for_one_time_the_first_stays(
    ingest: Ingest, database: Database, engine: Engine, apply_site: Apply
) -> None:
    later = AT + timedelta(hours=1)
    ingest.send(UP, {"time": AT.isoformat(), "id": "z", "values": {"level": 50}}, later)
    ingest.send(UP, {"time": AT.isoformat(), "id": "a", "values": {"level": 60}}, later + SECOND)
    assert done(database, engine) == {"devices": 1, "uplinks": 2, "equal": 1}
    correct(apply_site, METRES)
    assert done(database, engine)["changed"] == 1
    assert [row["value"] for row in ingest.rows(READINGS)] == [50.0]


def test_a_history_sent_later_keeps_what_it_told_of_the_span(
    ingest: Ingest, database: Database, engine: Engine, apply_site: Apply
) -> None:
    fill(ingest, 3)
    told = [
        {"bn": "g1", "bt": _at(i).timestamp(), "n": "temp", "u": "Cel", "v": 21 + i}
        for i in range(4)
    ]
    correct(apply_site, CENTIMETRES | TEMPERATURE)
    ingest.renew()
    ingest.send(UP, told, _at(9))
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM reading WHERE value > 20"))
    result = done(database, engine, to=_at(3).isoformat())
    # The plain messages came first and say 20; the history alone speaks of the fourth time.
    assert (result["uplinks"], result["added"], result["equal"]) == (3, 3, 3)
    assert [r["value"] for r in ingest.rows(READINGS) if r["property"] == "air_temperature"] == [
        *(20.0, 20.0, 20.0)
    ]


def test_after_kill_9_it_goes_on_where_it_was(
    ingest: Ingest,
    database: Database,
    engine: Engine,
    apply_site: Apply,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(ingest)
    correct(apply_site, METRES | TEMPERATURE)
    with engine.begin() as connection:
        given = {"device": "g1"}
        asked = tasks.ask(connection, "reprocess", given, site_id=None, requested_by="test")
    slow = (
        "import threading, time\n"
        "from services.ingest import task_runner\n"
        "from services.ingest.tasks import reprocess\n"
        "from shared.settings import Database, load\n"
        "reprocess.TIMES = 20\n"
        "rewrite = reprocess._rewrite\n"
        "reprocess._rewrite = lambda *given: (time.sleep(0.1), rewrite(*given))\n"
        "task_runner.follow(load(Database), threading.Event())\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", slow], env={**os.environ, "LAB_DATABASE_URL": database.url}
    )
    place = "SELECT progress -> 'place' ->> 2 AS slice FROM task"
    patience = time.monotonic() + 60
    while int(ingest.rows(place)[0]["slice"] or 0) < 3:
        assert time.monotonic() < patience
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    monkeypatch.setattr(reprocess, "TIMES", 20)
    with engine.connect() as connection:
        half = tasks.find(connection, asked.id)
    assert half is not None
    assert half.state == "running"
    desk = task_runner.at_desk(database, threading.Event())
    while not task_runner.perform(desk, asked.id):  # until the server has missed its client
        assert time.monotonic() < patience
        time.sleep(0.1)
    desk.close()
    with engine.connect() as connection:
        whole = tasks.find(connection, asked.id)
    assert whole is not None
    result = whole.result or {}
    assert result["changed"] + result["equal"] == COUNT
    assert result["added"] == COUNT
    assert ingest.rows("SELECT count(*) AS n FROM reading_superseded")[0]["n"] == result["changed"]
    assert len(ingest.rows(READINGS)) == 2 * COUNT


def test_the_shell_says_what_cannot_be_done_and_does_the_rest(
    ingest: Ingest, database: Database, apply_site: Apply
) -> None:
    fill(ingest, 5)
    correct(apply_site, METRES)
    variables = {"LAB_DATABASE_URL": database.url}
    none = lab("reprocess", "--device", "nobody", **variables)
    assert none.returncode == 2
    assert "no device of 'nobody'" in none.stderr
    told = lab("reprocess", "--profile", "gauge", "--dry-run", **variables)
    assert told.returncode == 0, told.stderr
    assert "changed          4" in told.stdout
    assert told.stdout.endswith("dry run: nothing was changed\n")


async def test_the_api_asks_for_it(ingest: Ingest, database: Database, engine: Engine) -> None:
    fill(ingest, 2)
    key = people.add(engine, "operator", ["cibinong"])
    async with api_world.api(database, key) as client:
        made = await client.post(
            "/v1/reprocess", json={"of": "device", "key": "g1", "dry_run": True}
        )
        assert (made.status_code, made.json()["kind"]) == (201, "reprocess")
        both = await client.post("/v1/reprocess", json={"of": "pilot", "key": "g1"})
        assert both.status_code == 422
