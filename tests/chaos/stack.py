"""The parts that are killed: PostgreSQL, NATS and ingest, each at a place that stays.

Ingest ends with one line when it is started while the database is away. Whoever supervises it, as
Compose and systemd do, starts it again; so does this.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from shared.embedded import nats, postgres
from shared.settings import Mqtt

UNUSABLE = 2  # how `lab` ends for what an operator has to see to
AGAIN_S = 1.0
ACK_WAIT = "2s"  # what a killed ingest held comes again soon


@dataclass
class Stack:
    """Parts in a directory of their own. A part that was killed is started again at its place."""

    directory: Path
    mqtt_port: int = field(default_factory=nats.free_port)
    health_port: int = field(default_factory=nats.free_port)
    url: str = ""

    def __post_init__(self) -> None:
        self._parts = {"postgres": ExitStack(), "nats": ExitStack()}
        self._ingest: subprocess.Popen[bytes] | None = None
        self._begun = {"postgres": self._begin_postgres, "nats": self._begin_nats}
        self._turn, self._closed = threading.RLock(), threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)

    def start(self) -> None:
        """PostgreSQL and NATS; ingest needs a schema first."""
        for begin in self._begun.values():
            begin()
        self._supervisor.start()

    def close(self) -> None:
        self._closed.set()
        self.stop("ingest")
        for part in self._parts.values():
            part.close()

    @property
    def mqtt(self) -> Mqtt:
        return Mqtt(url=self.broker.url)

    def begin(self, part: str) -> None:
        """Start a part that is down."""
        if part == "ingest":
            with self._turn:
                self._ingest = self._begin_ingest()
        else:
            self._parts[part].close()
            self._begun[part]()

    def stop(self, part: str) -> None:
        """As an operator does: ask, and wait."""
        if part != "ingest":
            self._parts[part].close()
            return
        with self._turn:
            if self._ingest:
                self._ingest.terminate()
                try:
                    self._ingest.wait(30)
                except subprocess.TimeoutExpired as error:
                    raise AssertionError("ingest did not end within 30 s of SIGTERM") from error
                self._ingest = None

    def kill(self, part: str) -> None:
        """SIGKILL, to every process of it at once."""
        with self._turn:
            for process in self._processes(part):
                _signal(process, signal.SIGKILL)
            if part == "ingest" and self._ingest:
                self._ingest.wait()
                self._ingest = None

    def pause(self, part: str) -> None:
        """It answers no more, and its connections stay."""
        for process in self._processes(part):
            _signal(process, signal.SIGSTOP)

    def resume(self, part: str) -> None:
        for process in self._processes(part):
            _signal(process, signal.SIGCONT)

    def wait_ingesting(self, patience_s: float = 60) -> None:
        """Until ingest says of itself that it is well."""
        deadline = time.monotonic() + patience_s
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{self.health_port}/healthz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            ended = self._ingest.poll() if self._ingest else None
            assert ended in (None, UNUSABLE), f"ingest ended by itself with {ended}"
            assert time.monotonic() < deadline, "ingest did not become healthy"
            time.sleep(0.05)

    def _supervise(self) -> None:
        while not self._closed.wait(AGAIN_S):
            with self._turn:
                if self._ingest and self._ingest.poll() == UNUSABLE:
                    self._ingest = self._begin_ingest()

    def _begin_postgres(self) -> None:
        directory = self.directory / "pg"
        self.url = self._parts["postgres"].enter_context(postgres.running(directory))

    def _begin_nats(self) -> None:
        running = nats.running(self.directory / "nats", mqtt_port=self.mqtt_port, ack_wait=ACK_WAIT)
        self.broker = self._parts["nats"].enter_context(running)

    def _begin_ingest(self) -> subprocess.Popen[bytes]:
        variables = {
            "LAB_DATABASE_URL": self.url,
            "LAB_MQTT_URL": self.broker.url,
            "LAB_MQTT_CLIENT_ID": self.broker.client_id,
            "LAB_INGEST_HEALTH_PORT": str(self.health_port),
        }
        with open(self.directory / "ingest.log", "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "services.cli", "ingest"],
                env={**os.environ, **variables},
                stderr=log,
            )

    def _processes(self, part: str) -> list[int]:
        if part == "ingest":
            return [self._ingest.pid] if self._ingest else []
        if part == "nats":
            return [self.broker.child.process.pid]
        first = int((self.directory / "pg/cluster/postmaster.pid").read_text().split()[0])
        return [first, *_children(first)]


def _children(process: int) -> list[int]:
    try:
        told = Path(f"/proc/{process}/task/{process}/children").read_text()
    except FileNotFoundError:
        return []
    return [int(child) for child in told.split()]


def _signal(process: int, sent: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has ended by itself meanwhile
        os.kill(process, sent)
