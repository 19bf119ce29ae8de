"""A running ingest, a publisher that waits for acknowledgements, questions to the database."""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import Engine, text

from services.ingest import main
from shared.embedded.nats import Broker, free_port
from shared.settings import Database, Ingest, Mqtt


class Bench:
    """A running ingest, and a publisher that waits for its acknowledgements."""

    def __init__(self, broker: Broker, engine: Engine, health_port: int = 0) -> None:
        self.engine = engine
        self.health_port = health_port
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id="publisher")
        self.client.max_inflight_messages_set(500)
        place = Mqtt(url=broker.url)
        self.client.username_pw_set(place.username, place.password)
        self.client.connect(place.host, place.port)
        self.client.loop_start()

    def publish(self, topic: str, payload: object) -> None:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.client.publish(topic, body, qos=1).wait_for_publish(10)

    def publish_all(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Publish many, then wait until each was acknowledged."""
        sent = [self.client.publish(topic, body, qos=1) for topic, body in messages]
        for each in sent:
            each.wait_for_publish(60)
            assert each.is_published()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(sql), values).mappings()]

    def counted(self) -> dict[str, int]:
        return {
            row["kind"]: int(row["n"])
            for row in self.rows("SELECT kind, sum(n) AS n FROM ledger GROUP BY kind")
        }

    def settle(self, messages: int) -> dict[str, int]:
        """Wait until the ledger has counted this many messages."""
        deadline = time.monotonic() + 60
        while True:
            counted = self.counted()
            whole = [k for k in counted if k in ("stored", "repeat") or k.startswith("rejected:")]
            if sum(counted[k] for k in whole) >= messages:
                return counted
            assert time.monotonic() < deadline, counted
            time.sleep(0.05)


@contextmanager
def ingesting(
    database: Database, engine: Engine, broker: Broker, **settings: Any
) -> Iterator[Bench]:
    """Ingest in a thread; it must have ended when the context does."""
    stop, port = threading.Event(), free_port()
    worker = threading.Thread(
        target=main.run,
        args=(
            database,
            Mqtt(url=broker.url),
            Ingest(health_port=port, batch_ms=20, **settings),
            stop,
        ),
        daemon=True,
    )
    worker.start()
    try:
        wait_healthy(port)
        bench = Bench(broker, engine, port)
        yield bench
        bench.close()
    finally:
        stop.set()
        worker.join(20)
    assert not worker.is_alive()


def wait_healthy(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "ingest did not become healthy"
        time.sleep(0.05)
