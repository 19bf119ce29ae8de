"""Ingest's workers at the queue they share, as processes that can be killed, and what NATS keeps."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from shared.embedded.nats import free_port
from shared.jetstream import STREAM
from shared.nats_client import ask, connected
from shared.settings import Database, Ingest
from tests.integration.broker_world import World, world
from tests.integration.ingest_bench import wait_healthy

PASSWORD = "worker-of-this-test"


@dataclass
class Workers:
    """Workers of one queue; `at` looks after its broker."""

    at: World
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, **variables: str) -> subprocess.Popen[bytes]:
        """One more, healthy."""
        port = free_port()
        told = {
            **{k: v for k, v in self.at.variables.items() if not k.startswith("LAB_BROKER_")},
            **{"LAB_INGEST_SOURCE": "jetstream", "LAB_INGEST_HEALTH_PORT": str(port)},
            **variables,
        }
        kept = {k: v for k, v in os.environ.items() if not k.startswith("LAB_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "services.cli", "ingest"], env={**kept, **told}
        )
        self.running.append(process)
        wait_healthy(port)
        return process

    def end(self) -> None:
        for process in self.running:
            process.terminate()
        for process in self.running:
            process.wait(30)

    @property
    def settings(self) -> Ingest:
        return Ingest(source="jetstream", nats_url=self.at.variables["LAB_INGEST_NATS_URL"])

    def asked(self, what: str, body: object = None) -> dict[str, Any]:
        """JetStream's answer to ingest's own user."""
        url = self.at.variables["LAB_INGEST_NATS_URL"].split(",")[0]
        account = {"user": self.at.place.username, "password": self.at.place.password}

        async def answered() -> dict[str, Any]:
            async with connected(url, self.at.place.tls_context, **account) as client:
                return await ask(client, f"$JS.API.{what}", body)

        return asyncio.run(answered())

    def kept(self) -> int:
        """Messages that NATS still keeps."""
        return int(self.asked(f"STREAM.INFO.{STREAM}")["state"]["messages"])


@contextmanager
def workers(directory: Path, database: Database) -> Iterator[Workers]:
    """None yet, at an embedded NATS whose users are made; its queue is not."""
    with world("nats", directory, database) as at:
        port = urlsplit(at.variables["LAB_BROKER_ADMIN_URL"]).port
        at.variables["LAB_INGEST_NATS_URL"] = f"nats://worker:{PASSWORD}@127.0.0.1:{port}"
        at.told("sync")
        made = Workers(at)
        try:
            yield made
        finally:
            made.end()
