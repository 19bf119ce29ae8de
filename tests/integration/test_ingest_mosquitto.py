"""The same ingest on Mosquitto, over MQTT 3.1.1 and 5: what was queued meanwhile arrives."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from services.ingest import main
from shared.embedded.nats import free_port
from shared.settings import Database, Ingest, Mqtt
from tests.integration.ingest_bench import Bench, wait_healthy
from tests.integration.mosquitto import Mosquitto, needed
from tests.integration.test_ingest_path import NOW, UP, chirpstack_up, site

pytestmark = [pytest.mark.database, needed]
MESSAGES = 3000  # beyond the 1000 that Mosquitto queues by default


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    running = Mosquitto(tmp_path)
    yield running
    running.child.stop()


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_messages_queued_while_ingest_was_away_arrive(
    database: Database,
    engine: Engine,
    mosquitto: Mosquitto,
    apply_site: Callable[..., Any],
    protocol: str,
) -> None:
    apply_site(site())
    mqtt = Mqtt(url=mosquitto.broker.url, protocol=protocol)  # type: ignore[arg-type]
    stopping = run(database, mqtt)
    stopping()
    bench = Bench(mosquitto.broker, engine)
    bench.publish_all(
        (
            "livinglab/cibinong/g1/up",
            json.dumps(
                {"time": (NOW - timedelta(minutes=i)).isoformat(), "values": {"level": i % 90}}
            ).encode(),
        )
        for i in range(MESSAGES)
    )
    stopping = run(database, mqtt)
    assert bench.settle(MESSAGES) == {"stored": MESSAGES}
    assert len(bench.rows("SELECT FROM reading")) == MESSAGES
    stopping()
    bench.close()


def test_what_a_killed_mosquitto_lost_shows_as_missing_frames(
    database: Database,
    engine: Engine,
    mosquitto: Mosquitto,
    apply_site: Callable[..., Any],
) -> None:
    apply_site(site())
    mqtt = Mqtt(url=mosquitto.broker.url)
    stopping = run(database, mqtt)
    bench = Bench(mosquitto.broker, engine)
    bench.publish_all(frames(0, 20))
    bench.settle(20)
    stopping()
    bench.publish_all(frames(20, 150))  # confirmed, and in its memory alone
    bench.close()
    mosquitto.kill()
    mosquitto.start()
    stopping = run(database, mqtt)
    bench = Bench(mosquitto.broker, engine)
    bench.publish_all(frames(150, 160))
    counted = bench.settle(30)
    assert (counted["stored"], counted["frame_gap"]) == (30, 130)
    stopping()
    bench.close()


def frames(begin: int, end: int) -> list[tuple[str, bytes]]:
    """Uplinks of one device, by their counters."""
    bodies = (
        chirpstack_up(
            fCnt=i, deduplicationId=f"frame-{i}", time=(NOW + timedelta(seconds=i)).isoformat()
        )
        for i in range(begin, end)
    )
    return [(UP, json.dumps(body).encode()) for body in bodies]


def run(database: Database, mqtt: Mqtt) -> Callable[[], None]:
    """Start ingest; returns what stops it again."""
    stop, port = threading.Event(), free_port()
    worker = threading.Thread(
        target=main.run, args=(database, mqtt, Ingest(health_port=port), stop), daemon=True
    )
    worker.start()
    wait_healthy(port)

    def stopping() -> None:
        stop.set()
        worker.join(20)
        assert not worker.is_alive()

    return stopping
