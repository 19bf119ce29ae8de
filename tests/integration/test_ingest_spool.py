"""Mosquitto does not keep what it holds: while the database is away messages are safe with us."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from services.ingest import main, seen
from services.ingest.spool.spool import Spool
from services.ingest.uplink import Message
from shared.embedded.nats import free_port
from shared.settings import Database, Ingest, Mqtt
from tests.integration.ingest_bench import Bench, wait_healthy
from tests.integration.line import DatabaseLine, drawn
from tests.integration.mosquitto import Mosquitto, needed
from tests.integration.test_ingest_path import NOW, site

pytestmark = [pytest.mark.database, needed]
TOPIC = "livinglab/cibinong/g1/up"
SAID = {
    "id": "f1",
    "time": NOW.isoformat(),
    "service_code": "flood",
    "description": "water in the street",
    "lat": -6.48,
    "long": 106.85,
}


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    (folder := tmp_path / "mosquitto").mkdir()
    running = Mosquitto(folder)
    yield running
    running.child.stop()


@pytest.fixture
def line(database: Database, tmp_path: Path) -> Iterator[DatabaseLine]:
    with drawn(database, tmp_path / "line") as line:
        yield line


@pytest.fixture
def bench(engine: Engine, mosquitto: Mosquitto, apply_site: Callable[..., Any]) -> Iterator[Bench]:
    apply_site(site())
    bench = Bench(mosquitto.broker, engine)
    yield bench
    bench.close()


class Running:
    """An ingest in a thread, asked by its health page."""

    def __init__(self, database: Database, mosquitto: Mosquitto, **settings: Any) -> None:
        self._stop, self._port = threading.Event(), free_port()
        ingest = Ingest(health_port=self._port, batch_ms=20, **settings)
        mqtt = Mqtt(url=mosquitto.broker.url)
        self._worker = threading.Thread(
            target=main.run, args=(database, mqtt, ingest, self._stop), daemon=True
        )
        self._worker.start()
        wait_healthy(self._port)

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = httpx.get(f"http://127.0.0.1:{self._port}/healthz").json()
        return state

    def metrics(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self._port}/metrics").text

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while not holds(state := self.state()):
            assert time.monotonic() < deadline, state
            time.sleep(0.05)
        return state

    def spooled(self, messages: int) -> dict[str, Any]:
        return self.until(lambda state: state["spool"]["messages"] == messages)

    def stop(self) -> None:
        self._stop.set()
        self._worker.join(30)
        assert not self._worker.is_alive()


@contextmanager
def running(database: Database, mosquitto: Mosquitto, **settings: Any) -> Iterator[Running]:
    started = Running(database, mosquitto, **settings)
    try:
        yield started
    finally:
        started.stop()


def plain(begin: int, end: int, padding: int = 0) -> list[tuple[str, bytes]]:
    bodies = (
        {"time": (NOW - timedelta(minutes=i)).isoformat(), "values": {"level": i % 90}}
        for i in range(begin, end)
    )
    return [(TOPIC, json.dumps(body).encode() + b" " * padding) for body in bodies]


def stored(bench: Bench, messages: int) -> None:
    """Exactly so many, once each."""
    assert bench.settle(messages) == {"stored": messages}
    assert len(bench.rows("SELECT FROM reading")) == messages


def test_what_came_while_the_database_was_away_is_drained_after_a_restart_of_everything(
    bench: Bench, mosquitto: Mosquitto, line: DatabaseLine, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    with running(line.database, mosquitto, spool=spool) as ingest:
        bench.publish_all(plain(0, 20))
        stored(bench, 20)
        line.cut()
        bench.publish_all(plain(20, 400))
        bench.publish("livinglab/cibinong/feedback", SAID)
        state = ingest.spooled(381)
        assert (state["ok"], state["database"]) == (False, False)
        assert bench.counted() == {"stored": 20}
    mosquitto.restart()  # nothing of it is there any more: it was acknowledged
    assert [path for path in spool.rglob("personal/*") if b"street" in path.read_bytes()]
    assert not [path for path in spool.rglob("common/*") if b"street" in path.read_bytes()]
    line.mend()
    with running(line.database, mosquitto, spool=spool) as ingest:
        assert bench.settle(401)["stored"] == 401
        assert len(bench.rows("SELECT FROM reading")) == 400
        assert len(bench.rows("SELECT FROM feedback_raw")) == 1
        ingest.spooled(0)
    assert not [*spool.rglob("*.spool")]


@pytest.mark.parametrize("fails", ["cut", "hold"])
def test_live_messages_go_on_and_the_backlog_follows(
    bench: Bench, mosquitto: Mosquitto, line: DatabaseLine, tmp_path: Path, fails: str
) -> None:
    settings = {"spool": tmp_path / "spool", "deadline_s": 0.5}
    with running(line.database, mosquitto, **settings) as ingest:
        bench.publish_all(plain(0, 10))
        stored(bench, 10)
        getattr(line, fails)()
        bench.publish_all(plain(10, 200))
        ingest.spooled(190)
        line.mend()
        ingest.until(lambda state: state["ok"])
        bench.publish_all(plain(200, 210))
        stored(bench, 210)
        ingest.spooled(0)
        seen.tell(line.database)
        told = ingest.metrics()
    assert "lab_ingest_spool_messages 0.0" in told
    assert "lab_ingest_database_connected 1.0" in told
    assert "lab_ingest_lag_seconds 0.0" in told
    (at,) = re.findall(r'source_last_seen_timestamp_seconds{source="cibinong.plain"} (\S+)', told)
    assert time.time() - 120 < float(at) <= time.time()


def test_a_full_spool_acknowledges_nothing_says_so_and_goes_on_by_itself(
    bench: Bench, mosquitto: Mosquitto, line: DatabaseLine, tmp_path: Path
) -> None:
    settings = {"spool": tmp_path / "spool", "spool_bytes": 2**20, "batch_size": 2}
    with running(line.database, mosquitto, **settings) as ingest:
        line.cut()
        bench.publish_all(plain(0, 40, padding=100_000))
        state = ingest.until(lambda state: bool(state["spool"]["full"]))
        assert "LAB_INGEST_SPOOL_BYTES" in state["spool"]["full"]
        assert 0 < state["spool"]["messages"] < 11
        held = 2 * 2  # one batch waits to be durable, one is prepared
        assert state["waiting"] + state["spool"]["messages"] + held >= 40
        line.mend()
        stored(bench, 40)
        ingest.until(lambda state: state["ok"])


def test_spools_of_others_and_what_is_unreadable_in_them_stand_in_nobodys_way(
    bench: Bench, mosquitto: Mosquitto, database: Database, tmp_path: Path
) -> None:
    at = NOW + timedelta(seconds=1)
    others = [Spool(tmp_path / "spool", 2**20, lambda _: False) for _ in range(2)]
    for other, begin in zip(others, (0, 50), strict=True):
        other.append([Message(topic, body, at) for topic, body in plain(begin, begin + 50)])
    others[1].append([Message(TOPIC, b"{no json", at), Message("no/source", b"\0", at)])
    (file,) = [segment.path for segment in others[0].waiting()]
    for other in others:
        other.close()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with running(database, mosquitto, spool=tmp_path / "spool") as ingest:
        ingest.spooled(0)
        assert bench.counted() == {
            "stored": 99,
            "rejected:bad_json": 1,
            "rejected:unknown_source": 1,
        }
    assert len([*(tmp_path / "spool").rglob("*.damaged")]) == 1
