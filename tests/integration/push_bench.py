"""A running `lab push`, who pushes to it and what they send."""

import json
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import Engine

from services.ingest.push import main
from shared.db import credentials
from shared.embedded.nats import free_port
from shared.settings import Database, Ingest, Push
from tests.integration.ingest_bench import Bench, wait_healthy
from tests.integration.test_ingest_path import NOW, site

ELSEWHERE: dict[str, Any] = {
    "site": {**site()["site"], "key": "bogor", "name": "Bogor"},
    "sources": [{"key": "plain", "adapter": "lab", "filters": ["livinglab/bogor/#"]}],
}


class Pushing:
    """A running `lab push` in a thread, and somebody who pushes."""

    def __init__(self, database: Database, engine: Engine, **settings: Any) -> None:
        self.port, self.health_port = free_port(), free_port()
        pushed = {k: settings.pop(k) for k in [*settings] if k in Push.model_fields}
        push = Push(port=self.port, **pushed)
        ingest = Ingest(health_port=self.health_port, batch_ms=20, **settings)
        self._stop = threading.Event()
        self._worker = threading.Thread(
            target=main.run, args=(database, push, ingest, self._stop), daemon=True
        )
        self._worker.start()
        wait_healthy(self.health_port)
        self.bench = Asked(engine)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def post(self, source: str, body: object, **more: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post(f"/v1/ingest/{source}", content=content, **more)

    def state(self) -> dict[str, Any]:
        told = httpx.get(f"http://127.0.0.1:{self.health_port}/healthz")
        return dict(told.json())

    def stop(self) -> None:
        self.client.close()
        self._stop.set()
        self._worker.join(30)
        assert not self._worker.is_alive()


class Asked(Bench):
    """The questions of a bench, without its publisher."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine


def two_sites(engine: Engine, apply_site: Callable[..., Any]) -> dict[str, tuple[str, str]]:
    """Two sites; user and password of a source of each."""
    apply_site(site())
    apply_site(ELSEWHERE)
    with engine.begin() as connection:
        return {
            name: credentials.replace(connection, name.replace(".", "/"))
            for name in ("cibinong.plain", "cibinong.chirpstack", "bogor.plain")
        }


def plain(minute: int) -> dict[str, Any]:
    at = NOW - timedelta(minutes=minute)
    return {"time": at.isoformat(), "values": {"level": minute % 90}}


def until(ask: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + 20
    while not holds(told := ask()):
        assert time.monotonic() < deadline, told
        time.sleep(0.2)
    return told
