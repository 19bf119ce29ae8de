"""Ingest's workers at the queue they share, as processes to be killed, and what NATS keeps."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from shared.embedded import nats
from shared.embedded.child import Child, spawn, wait_until
from shared.embedded.nats import free_port
from shared.jetstream import QUEUE, STREAM, request
from shared.nats_client import FAILURES, ask, connected
from shared.settings import Database, Ingest
from tests.integration.broker_world import World, world
from tests.integration.ingest_bench import wait_healthy

PASSWORD = "worker-of-this-test"


@dataclass(frozen=True)
class Worker:
    """One process of ingest."""

    process: subprocess.Popen[bytes]
    port: int

    def stored(self) -> int:
        """What this one wrote, as Prometheus would read it."""
        told = httpx.get(f"http://127.0.0.1:{self.port}/metrics").text
        found = re.search(r'^lab_ingest_messages_total\{outcome="stored"\} (\S+)$', told, re.M)
        return int(float(found[1])) if found else 0

    def healthy(self) -> bool:
        return httpx.get(f"http://127.0.0.1:{self.port}/healthz").status_code == 200


@dataclass
class Workers:
    """Workers of one queue; `at` looks after its broker."""

    at: World
    directory: Path
    running: list[Worker] = field(default_factory=list)
    brokers: list[Child] = field(default_factory=list)

    def start(self, **variables: str) -> Worker:
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
        worker = Worker(process, port)
        self.running.append(worker)
        wait_healthy(port)
        return worker

    def end(self) -> None:
        for each in self.running:
            each.process.terminate()
        for each in self.running:
            each.process.wait(30)
        for child in self.brokers:
            child.stop()

    def restart(self) -> None:
        """Kill the broker and start it anew with what it had."""
        assert self.at.child
        self.at.child.process.kill()
        self.at.child.process.wait()
        words = json.loads((self.directory / "secrets.json").read_text())
        told = {f"{each.upper()}_PASSWORD": f'"{words[each]}"' for each in ("mqtt", "broker")}
        command = [nats.program(), "-c", str(self.directory / "nats.conf")]
        log = self.directory / "again.log"
        child = spawn("nats", command, log=log, env={**os.environ, **told})
        self.brokers.append(child)
        listening = self.at.place.port
        wait_until(lambda: nats.listens(listening), child, patience_s=60, what="did not listen")

    @property
    def settings(self) -> Ingest:
        return Ingest(source="jetstream", nats_url=self.at.variables["LAB_INGEST_NATS_URL"])

    def asked(self, what: str, body: object = None) -> dict[str, Any]:
        """JetStream's answer to ingest's own user, at the first node that gives one."""
        account = {"user": self.at.place.username, "password": self.at.place.password}

        async def answered(url: str) -> dict[str, Any]:
            async with connected(url, self.at.place.tls_context, **account) as client:
                return await ask(client, f"$JS.API.{what}", body)

        for url in self.settings.nats_addresses:
            try:
                return asyncio.run(answered(url))
            except FAILURES:
                continue
        return {}

    def stream(self) -> dict[str, Any]:
        """The stream of messages as NATS tells it; empty while nobody answers."""
        return self.asked(f"STREAM.INFO.{STREAM}")

    def waiting(self) -> dict[str, Any]:
        """The queue as NATS tells it."""
        return self.asked(f"CONSUMER.INFO.{STREAM}.{QUEUE}")

    def kept(self) -> int:
        """Messages that NATS still keeps."""
        return int(self.stream()["state"]["messages"])


@contextmanager
def workers(directory: Path, database: Database) -> Iterator[Workers]:
    """None yet, at an embedded NATS whose users are made; its queue is not."""
    with world("nats", directory, database) as at:
        port = urlsplit(at.variables["LAB_BROKER_ADMIN_URL"]).port
        at.variables["LAB_INGEST_NATS_URL"] = f"nats://worker:{PASSWORD}@127.0.0.1:{port}"
        at.told("sync")
        made = Workers(at, directory / "nats")
        try:
            yield made
        finally:
            made.end()


def hasty(at: Workers) -> None:
    """What a killed worker held comes again after two seconds, not half a minute."""
    config = at.waiting()["config"] | {"ack_wait": 2 * 10**9}
    assert "error" not in at.asked(f"CONSUMER.CREATE.{STREAM}.{QUEUE}", request("update", config))
