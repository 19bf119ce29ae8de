"""The publisher, outside the product: what it sends, and what the broker said it has."""

import json
import queue
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from shared.settings import Mqtt

GAUGES = 20
VALUES = ("water_level", "air_temperature")


@dataclass(frozen=True, slots=True)
class Sent:
    """One distinct message. mark: found again in whatever is kept of it."""

    mark: str
    topic: str
    payload: bytes
    usable: bool


@dataclass
class Load:
    """A publisher in its own thread; `acked` holds the marks of what the broker has confirmed."""

    mqtt: Mqtt
    site: str
    seed: int
    messages: int
    per_s: int
    acked: set[str] = field(default_factory=set)
    usable: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._marks: dict[int, Sent] = {}
        # Read by whoever sent: a callback that waited for us would wait in paho's own locks.
        self._confirmed: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=f"chaos-{self.site}", clean_session=False
        )
        self._client.username_pw_set(self.mqtt.username, self.mqtt.password)
        self._client.max_inflight_messages_set(300)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_publish = lambda _c, _d, mid, *_: self._confirmed.put(mid)
        self._thread = threading.Thread(target=self._send, daemon=True)

    def start(self) -> None:
        self._client.connect(self.mqtt.host, self.mqtt.port, keepalive=5)
        self._client.loop_start()
        self._thread.start()

    def finish(self, patience_s: float) -> None:
        """Wait until everything was sent and confirmed, or patience ends; then part."""
        deadline = time.monotonic() + patience_s
        self._thread.join(patience_s)
        while self._marks and time.monotonic() < deadline:
            time.sleep(0.05)
            self._note()
        self._client.disconnect()
        self._client.loop_stop()

    def _send(self) -> None:
        begun = time.monotonic()
        for number, sent in enumerate(made(self.site, self.seed, self.messages)):
            time.sleep(max(0.0, begun + number / self.per_s - time.monotonic()))
            self._marks[self._client.publish(sent.topic, sent.payload, qos=1).mid] = sent
            self._note()

    def _note(self) -> None:
        while not self._confirmed.empty():
            sent = self._marks.pop(self._confirmed.get())
            self.acked.add(sent.mark)
            if sent.usable:
                self.usable.add(sent.mark)


def made(site: str, seed: int, count: int) -> Iterator[Sent]:
    """Distinct messages in no order of time, one in 50 unusable, one in 20 sent a second time."""
    dice = random.Random(seed)
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=20)
    minutes = list(range(count))
    dice.shuffle(minutes)
    for number, minute in enumerate(minutes):
        mark = f"{site}-{seed}-{number}"
        usable = number % 50 != 7
        sent = _usable(site, mark, number, start + timedelta(minutes=minute))
        if not usable:
            sent = _unusable(site, mark, dice)
        yield sent
        if dice.random() < 0.05:
            yield sent


def _usable(site: str, mark: str, number: int, at: datetime) -> Sent:
    values = dict.fromkeys(VALUES, number % 90)
    body = {"id": mark, "time": at.isoformat(), "values": values}
    topic = f"livinglab/{site}/g{number % GAUGES}/up"
    return Sent(mark, topic, json.dumps(body).encode(), usable=True)


def _unusable(site: str, mark: str, dice: random.Random) -> Sent:
    body = {"id": mark, "time": datetime.now(UTC).isoformat(), "values": {"water_level": 1}}
    topic, payload = dice.choice(
        [
            (f"livinglab/{site}/ghost/up", json.dumps(body).encode()),
            (f"livinglab/{site}/g1/up", f"{{{mark}".encode()),
            (f"livinglab/{site}/g1/up", json.dumps(body | {"time": "1999-01-01T00:00Z"}).encode()),
        ]
    )
    return Sent(mark, topic, payload, usable=False)
