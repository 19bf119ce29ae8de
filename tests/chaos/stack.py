"""The parts that are killed: PostgreSQL, a broker and ingest, each at a place that stays.

Ingest reaches both servers by lines that can be cut. It ends with one line when it is started while
the database is away. Whoever supervises it, as Compose and systemd do, starts it again; so does
this.
"""

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx

from shared.embedded import nats, postgres
from shared.settings import Database, Mqtt
from tests.chaos.brokers import Broker
from tests.integration.line import DatabaseLine, Line, to_port

UNUSABLE = 2  # how `lab` ends for what an operator has to see to
AGAIN_S = 1.0
STARTS_WITHIN_S = 15.0
DEADLINE_S = 1.0  # a database that is paused or held for longer is given up
DISK_LEFT = 4096  # bytes that a full disk takes of a file


@dataclass
class Stack:
    """Parts in a directory of their own. A part that was killed is started again at its place."""

    directory: Path
    make_broker: Callable[[Path], Broker]
    spools: bool
    health_port: int = field(default_factory=nats.free_port)
    url: str = ""

    def __post_init__(self) -> None:
        self.broker = self.make_broker(self.directory / "broker")
        self._postgres = ExitStack()
        self._ingest: subprocess.Popen[bytes] | None = None
        self._turn, self._closed = threading.RLock(), threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)
        self.lines: dict[str, Line] = {}

    def start(self) -> None:
        """Both servers and the lines to them; ingest needs a schema first."""
        self.begin("postgres")
        self.begin("broker")
        (self.directory / "line").mkdir()
        database = DatabaseLine(Database(url=self.url), self.directory / "line")
        self._database = database.database
        broker, self._broker_port = to_port(self.mqtt.port)
        self.lines = {"database": database, "broker": broker}
        self._supervisor.start()

    def close(self) -> None:
        self._closed.set()
        with ExitStack() as last_first:
            for line in self.lines.values():
                last_first.callback(line.close)
            for part in ("postgres", "broker", "ingest"):
                last_first.callback(self.stop, part)
            for line in self.lines.values():
                last_first.callback(line.mend)

    @property
    def mqtt(self) -> Mqtt:
        """For publishers, whom nobody cuts off."""
        return self.broker.mqtt

    def begin(self, part: str) -> None:
        """Start a part that is down."""
        with self._turn:
            if part == "ingest":
                self._ingest = self._begin_ingest()
                self._wait_started()
            elif part == "broker":
                self.broker.start()
            else:
                self.url = self._postgres.enter_context(postgres.running(self.directory / "pg"))

    def stop(self, part: str) -> None:
        """As an operator does: ask, and wait."""
        if part == "broker":
            self.broker.stop()
        elif part == "postgres":
            self._postgres.close()
        else:
            self._stop_ingest()

    def kill(self, part: str) -> None:
        """SIGKILL, to every process of it at once."""
        with self._turn:
            for process in self._processes(part):
                _signal(process, signal.SIGKILL)
            if part == "ingest" and self._ingest:
                self._ingest.wait()
                self._ingest = None
        if part != "ingest":
            self.stop(part)  # what is left of it

    def pause(self, part: str) -> None:
        """It answers no more, and its connections stay."""
        for process in self._processes(part):
            _signal(process, signal.SIGSTOP)

    def resume(self, part: str) -> None:
        for process in self._processes(part):
            _signal(process, signal.SIGCONT)

    def fill_disk(self) -> None:
        """Ingest, which writes to its spool alone, gets no more onto the disk."""
        self._limit_files(DISK_LEFT)

    def empty_disk(self) -> None:
        self._limit_files(resource.RLIM_INFINITY)

    def pending(self) -> int | None:
        """Messages that wait at the broker or in the spool; None: somebody cannot tell now."""
        at_broker = self.broker.pending()
        if at_broker is None or not self.spools:
            return at_broker
        try:
            told = httpx.get(f"http://127.0.0.1:{self.health_port}/healthz").json()
        except httpx.TransportError:
            return None
        return at_broker + int(told["spool"]["messages"])

    def told(self, event: str) -> bool:
        """Whether ingest has logged it."""
        return f" {event} " in (self.directory / "ingest.log").read_text()

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

    def _begin_ingest(self) -> subprocess.Popen[bytes]:
        direct = f"127.0.0.1:{self.mqtt.port}"
        variables = {
            "LAB_DATABASE_URL": self._database.url,
            "LAB_MQTT_URL": self.mqtt.url.replace(direct, f"127.0.0.1:{self._broker_port}"),
            "LAB_MQTT_CLIENT_ID": self.mqtt.client_id,
            "LAB_INGEST_HEALTH_PORT": str(self.health_port),
            "LAB_INGEST_DEADLINE_S": str(DEADLINE_S),
        }
        assert variables["LAB_MQTT_URL"] != self.mqtt.url, "ingest would pass the line by"
        if self.spools:
            variables["LAB_INGEST_SPOOL"] = str(self.directory / "spool")
        process = subprocess.Popen(
            [sys.executable, "-m", "services.cli", "ingest"],
            env={**os.environ, **variables},
            stderr=subprocess.PIPE,
        )
        # We write its log: of its own files a full disk is to meet the spool alone.
        threading.Thread(target=self._log, args=[process.stderr], daemon=True).start()
        return process

    def _wait_started(self) -> None:
        """Until it can be asked, or ends: what happens next is to meet it at work."""
        deadline = time.monotonic() + STARTS_WITHIN_S
        while self._ingest and self._ingest.poll() is None and time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{self.health_port}/healthz")
                return
            time.sleep(0.05)

    def _log(self, told: IO[bytes]) -> None:
        with told, open(self.directory / "ingest.log", "ab", buffering=0) as log:
            log.writelines(told)

    def _stop_ingest(self) -> None:
        with self._turn:
            if self._ingest:
                self._ingest.terminate()
                try:
                    self._ingest.wait(30)
                except subprocess.TimeoutExpired as error:
                    self._ingest.kill()
                    raise AssertionError("ingest did not end within 30 s of SIGTERM") from error
                self._ingest = None

    def _limit_files(self, most: int) -> None:
        for process in self._processes("ingest"):
            with suppress(ProcessLookupError):
                resource.prlimit(process, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    def _processes(self, part: str) -> list[int]:
        if part == "ingest":
            return [self._ingest.pid] if self._ingest else []
        if part == "broker":
            return [self.broker.process]
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
