"""The brokers that are killed and restarted, each at a port and in a folder that stay."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx

from shared import broker_monitor
from shared.broker_monitor import MonitorUnreachable
from shared.embedded import nats
from shared.settings import Mqtt
from tests.integration import mosquitto

ACK_WAIT = "2s"  # what a killed ingest held comes again soon


class Broker(Protocol):
    """Where publishers go; started again it has what it kept."""

    again_s: float  # within it comes again what was delivered and not acknowledged, if untold

    @property
    def mqtt(self) -> Mqtt:
        """For publishers and ingest."""

    @property
    def process(self) -> int:
        """The id of its process."""

    def start(self) -> None:
        """Bring it up; raises ChildFailed."""

    def stop(self) -> None:
        """As an operator does: ask, and wait."""

    def pending(self) -> int | None:
        """Messages it holds back; None: it cannot tell now."""

    def keeps(self, filter_: str) -> bool:
        """Whether it keeps what matches for ingest: before, it is nobody's."""


@dataclass
class Nats:
    """NATS keeps each message on its disk until ingest has acknowledged it."""

    folder: Path
    again_s = 0.0
    port: int = field(default_factory=nats.free_port)
    _open: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        running = nats.running(self.folder, mqtt_port=self.port, ack_wait=ACK_WAIT)
        self._running = self._open.enter_context(running)

    def stop(self) -> None:
        self._open.close()

    @property
    def mqtt(self) -> Mqtt:
        return Mqtt(url=self._running.url, client_id=self._running.client_id)

    @property
    def process(self) -> int:
        return self._running.child.process.pid

    def pending(self) -> int | None:
        try:
            return broker_monitor.pending(self._running.monitor_url)
        except MonitorUnreachable:
            return None

    def keeps(self, filter_: str) -> bool:
        asked = {"consumers": "1", "config": "1"}
        told = httpx.get(f"{self._running.monitor_url}/jsz", params=asked)
        return filter_.replace("/", ".").replace("+", "*") in told.text


@dataclass
class Mosquitto:
    """Mosquitto keeps what it holds over a restart in good order, and tells nobody how much."""

    folder: Path
    again_s = 2.0

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self._running = mosquitto.Mosquitto(self.folder)
        self.stop()

    def start(self) -> None:
        self._running.start()

    def stop(self) -> None:
        self._running.child.stop()

    @property
    def mqtt(self) -> Mqtt:
        return Mqtt(url=self._running.broker.url, client_id="chaos-ingest")

    @property
    def process(self) -> int:
        return self._running.child.process.pid

    def pending(self) -> int | None:
        return 0

    def keeps(self, filter_: str) -> bool:
        return f" chaos-ingest 1 {filter_}" in (self.folder / "mosquitto.log").read_text()
