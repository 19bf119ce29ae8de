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
from shared.embedded.nats import Broker, free_port
from shared.settings import Database, Ingest, Mqtt
from tests.integration.ingest_bench import Bench, wait_healthy
from tests.integration.mosquitto import Mosquitto, needed
from tests.integration.test_ingest_path import NOW, site

pytestmark = [pytest.mark.database, needed]
MESSAGES = 3000  # beyond the 1000 that Mosquitto queues by default


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Broker]:
    running = Mosquitto(tmp_path)
    yield running.broker
    running.child.stop()


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_messages_queued_while_ingest_was_away_arrive(
    database: Database,
    engine: Engine,
    mosquitto: Broker,
    apply_site: Callable[..., Any],
    protocol: str,
) -> None:
    apply_site(site())
    mqtt = Mqtt(url=mosquitto.url, protocol=protocol)  # type: ignore[arg-type]
    stopping = run(database, mqtt)
    stopping()
    bench = Bench(mosquitto, engine)
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
