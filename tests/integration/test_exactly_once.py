"""The same uplinks twice, shuffled, and ingest killed in the middle: nothing is different."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from services.analytics import rollup, runner
from shared.broker_monitor import pending
from shared.embedded import nats
from shared.settings import Database
from tests.integration.ingest_bench import Bench, wait_healthy
from tests.integration.test_ingest_path import APPLICATION, EUI, NOW, chirpstack_up, site

pytestmark = pytest.mark.database
UPLINKS = 4000
Snapshot = dict[str, list[tuple[Any, ...]]]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[nats.Broker]:
    """What the killed ingest held must come again soon."""
    with nats.running(tmp_path / "nats", ack_wait="2s") as running:
        yield running


def uplinks() -> list[tuple[str, bytes]]:
    """Radio and plain messages over four days, four of them refused."""
    messages: list[tuple[str, Any]] = []
    for i in range(UPLINKS // 2):
        at = (NOW - timedelta(minutes=3 * i)).isoformat()
        event = chirpstack_up(deduplicationId=f"d{i}", time=at, fCnt=i, object={"level": i % 97})
        messages.append((f"application/{APPLICATION}/device/{EUI}/event/up", event))
        plain = {"time": at, "seq": i, "values": {"level": i % 89}}
        messages.append(("livinglab/cibinong/g1/up", plain))
    messages += [("livinglab/cibinong/ghost/up", {"values": {}, "n": i}) for i in range(4)]
    return [(topic, json.dumps(body).encode()) for topic, body in messages]


def ingest(database: Database, broker: nats.Broker, port: int) -> subprocess.Popen[bytes]:
    variables = {
        "LAB_DATABASE_URL": database.url,
        "LAB_MQTT_URL": broker.url,
        "LAB_INGEST_HEALTH_PORT": str(port),
        "LAB_INGEST_BATCH_SIZE": "300",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "services.cli", "ingest"], env={**os.environ, **variables}
    )
    wait_healthy(port)
    return process


def settled(bench: Bench, broker: nats.Broker, expected: int) -> None:
    """Until every distinct message is accounted for and the broker holds nothing back."""
    deadline = time.monotonic() + 120
    while True:
        counted = bench.counted()
        found = counted.get("stored", 0) + counted.get("rejected:unknown_device", 0)
        if found == expected and pending(broker.monitor_url) == 0:
            return
        assert found <= expected, counted
        assert time.monotonic() < deadline, (counted, pending(broker.monitor_url))
        time.sleep(0.2)


def snapshot(engine: Engine) -> Snapshot:
    """Readings, hourly cells and latest values, by name rather than by id."""
    while runner.run_slice(engine, rollup.JOB):
        pass
    with engine.connect() as connection:
        return {
            name: [tuple(row) for row in connection.execute(text(sql))]
            for name, sql in (
                ("reading", "SELECT * FROM reading ORDER BY datastream_id, time"),
                ("hourly", "SELECT * FROM reading_hourly ORDER BY datastream_id, hour"),
                (
                    "latest",
                    "SELECT DISTINCT ON (datastream_id) * FROM reading"
                    " ORDER BY datastream_id, time DESC",
                ),
                ("uplink", "SELECT uplink_id, observed_at FROM uplink ORDER BY 1, 2"),
            )
        }


def clean(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("TRUNCATE uplink, reading, reading_hourly, change, rejected, ledger, job")
        )


def test_twice_shuffled_and_killed_in_the_middle_equals_a_clean_run(
    database: Database, engine: Engine, broker: nats.Broker, apply_site: Callable[..., Any]
) -> None:
    apply_site(site())
    messages, bench = uplinks(), Bench(broker, engine)
    worker = ingest(database, broker, port := nats.free_port())
    try:
        bench.publish_all(messages)
        settled(bench, broker, len(messages))
        expected = snapshot(engine)
        assert len(expected["reading"]) == UPLINKS
        clean(engine)

        twice = [*messages, *messages]
        random.Random(7).shuffle(twice)
        middle = len(twice) // 2
        bench.publish_all(twice[:middle])
        worker.kill()
        worker.wait()
        killed_at = sum(n for kind, n in bench.counted().items() if kind == "stored")
        assert killed_at < len(messages), "ingest was faster than the kill: nothing was tested"
        bench.publish_all(twice[middle:])
        worker = ingest(database, broker, port)
        settled(bench, broker, len(messages))
        assert snapshot(engine) == expected
    finally:
        worker.terminate()
        worker.wait(60)
        bench.close()


def test_a_key_refused_before_its_device_was_known_is_counted_once(
    database: Database, engine: Engine, broker: nats.Broker, apply_site: Callable[..., Any]
) -> None:
    apply_site(site())
    late = site()
    late["devices"].append({"key": "late", "source": "plain", "origin": "simulated"})
    body = {"time": NOW.isoformat(), "values": {"air_temperature": 20}}
    worker, bench = ingest(database, broker, nats.free_port()), Bench(broker, engine)
    try:
        bench.publish("livinglab/cibinong/late/up", body)
        assert bench.settle(1) == {"rejected:unknown_device": 1}
        apply_site(late)
        bench.publish("livinglab/cibinong/late/up", body)
        deadline = time.monotonic() + 60
        while not bench.rows("SELECT FROM uplink"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        counted = {kind: n for kind, n in bench.counted().items() if n}
        assert counted == {"stored": 1}
        assert bench.rows("SELECT FROM rejected") == []
    finally:
        worker.terminate()
        worker.wait(60)
        bench.close()
