"""The same ingest on Mosquitto, over MQTT 3.1.1 and 5: what was queued meanwhile arrives."""

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from services.ingest import main
from shared.embedded.child import spawn, wait_until
from shared.embedded.nats import Broker, free_port, listens
from shared.settings import Database, Ingest, Mqtt
from tests.integration.ingest_bench import Bench, wait_healthy
from tests.integration.test_ingest_path import NOW, site

PLACES = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"  # Debian puts servers off the path
MOSQUITTO = shutil.which("mosquitto", path=PLACES)
pytestmark = [
    pytest.mark.database,
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed"),
]
MESSAGES = 3000  # beyond the 1000 that Mosquitto queues by default


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Broker]:
    port = free_port()
    config = tmp_path / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\n"
        "max_queued_messages 100000\nmax_inflight_messages 2000\n"
    )
    child = spawn("mosquitto", [str(MOSQUITTO), "-c", str(config)], log=tmp_path / "mosquitto.log")
    wait_until(lambda: listens(port), child, patience_s=60, what="did not listen")
    yield Broker(f"mqtt://127.0.0.1:{port}", "", child)
    child.stop()


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
