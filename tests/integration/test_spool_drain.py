"""A day of a thousand devices drains from the spool while live messages are seen at once."""

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from services.ingest.spool.spool import Spool
from services.ingest.uplink import Message
from shared.settings import Database
from tests.integration.ingest_bench import Bench
from tests.integration.mosquitto import Mosquitto, needed
from tests.integration.test_ingest_path import NOW, site
from tests.integration.test_ingest_spool import running

pytestmark = [pytest.mark.database, needed]
DEVICES = 1000
EVERY = timedelta(minutes=5)
LIVE_S = 0.3  # between live messages: what these devices send


def fleet() -> dict[str, Any]:
    content = site()
    content["devices"] += [
        {"key": f"d{i}", "pilot": "flood", "profile": "gauge", "source": "plain"}
        | {"origin": "simulated"}
        for i in range(DEVICES)
    ]
    return content


def message(device: int, at: datetime) -> tuple[str, bytes]:
    body = {"time": at.isoformat(), "values": {"level": at.minute + device % 30}}
    return f"livinglab/cibinong/d{device}/up", json.dumps(body).encode()


def backlog(hours: float) -> Iterator[Message]:
    for step in range(int(timedelta(hours=hours) / EVERY), 0, -1):
        at = NOW - step * EVERY
        for device in range(DEVICES):
            topic, body = message(device, at)
            yield Message(topic, body, at + timedelta(seconds=1))


def fill(folder: Path, hours: float) -> int:
    spool, messages = Spool(folder, 2**30, lambda _: False), [*backlog(hours)]
    for i in range(0, len(messages), 2000):
        spool.append(messages[i : i + 2000])
    spool.close()
    return len(messages)


def seen(bench: Bench, number: int) -> float:
    """Seconds from publishing a live message to its being found in the table."""
    at = NOW + timedelta(milliseconds=number)
    begun = time.monotonic()
    bench.client.publish(*message(number % DEVICES, at), qos=1)
    while not bench.rows("SELECT FROM reading WHERE time = :at", at=at):
        assert time.monotonic() < begun + 60
        time.sleep(0.02)
    return time.monotonic() - begun


def measured(
    database: Database, engine: Engine, mosquitto: Mosquitto, spool: Path, hours: float
) -> dict[str, float]:
    """Drain so many hours; what live messages waited meanwhile."""
    waiting, bench, waits = fill(spool, hours), Bench(mosquitto.broker, engine), list[float]()
    begun = time.monotonic()
    with running(database, mosquitto, spool=spool) as ingest:
        while ingest.state()["spool"]["messages"]:
            waits.append(seen(bench, len(waits)))
            time.sleep(LIVE_S)
        took = time.monotonic() - begun
    counted = bench.counted()
    bench.close()
    assert counted == {"stored": waiting + len(waits)}
    waits.sort()
    told = {"messages": waiting, "s": took, "live": len(waits), "median_s": waits[len(waits) // 2]}
    return told | {"p99_s": waits[int(len(waits) * 0.99)], "most_s": waits[-1]}


@pytest.mark.parametrize(
    "hours", [0.5, pytest.param(2.4, marks=pytest.mark.long)], ids=["short", "tenth"]
)
def test_a_backlog_drains_without_a_reject_beside_live_messages(
    database: Database,
    engine: Engine,
    apply_site: Callable[..., Any],
    tmp_path: Path,
    hours: float,
    capsys: pytest.CaptureFixture[str],
) -> None:
    apply_site(fleet())
    (folder := tmp_path / "mosquitto").mkdir()
    mosquitto = Mosquitto(folder)
    hours = float(os.environ.get("LAB_TEST_BACKLOG_HOURS", hours))
    told = measured(database, engine, mosquitto, tmp_path / "spool", hours)
    mosquitto.child.stop()
    with capsys.disabled():
        print(json.dumps(told))  # noqa: T201 - figures for whoever measures
    assert told["messages"] == int(timedelta(hours=hours) / EVERY) * DEVICES
