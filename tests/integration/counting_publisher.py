"""A QoS 1 publisher that counts its own acknowledgements, and goes to the next broker at need."""

import itertools
import json
import queue
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from shared.settings import Mqtt

WINDOW = 100  # unacknowledged at once
ANSWER_S = 5.0
Describe = Callable[[int], tuple[str, bytes]]


def plain_reading(topic: str, begin: datetime) -> Describe:
    """Number n as a plain message of a time of its own."""

    def described(n: int) -> tuple[str, bytes]:
        at = (begin - timedelta(seconds=n)).isoformat()
        return topic, json.dumps({"time": at, "seq": n, "values": {"level": n % 97}}).encode()

    return described


class CountingPublisher:
    """Publishes the numbers 0, 1, 2 … at `rate` a second until told to stop.

    acknowledged: number → when its PUBACK came. What had none when a connection broke is published
    again on the next one, as a device with memory would.
    """

    def __init__(
        self, places: Sequence[Mqtt], describe: Describe, rate: float, most: int | None = None
    ) -> None:
        self.acknowledged: dict[int, float] = {}
        self.connections = 0
        self._places, self._describe, self._rate = itertools.cycle(places), describe, rate
        self._numbers = iter(range(most) if most else itertools.count())
        self._under_way: dict[int, int] = {}  # packet id → number
        self._again: list[int] = []
        self._told: queue.SimpleQueue[tuple[int, float]] = queue.SimpleQueue()
        self._broken = threading.Event()
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def stop(self, patience_s: float = 60) -> None:
        """No new numbers; returns when everything published was acknowledged."""
        self._enough.set()
        self._thread.join(patience_s)
        assert not self._thread.is_alive(), "the brokers acknowledge nothing"

    def wait(self, patience_s: float = 120) -> None:
        """Until `most` numbers were acknowledged."""
        self._thread.join(patience_s)
        assert not self._thread.is_alive(), len(self.acknowledged)

    def _run(self) -> None:
        for place in self._places:
            if self._on_one(place):
                return
            time.sleep(0.2)

    def _on_one(self, place: Mqtt) -> bool:
        """On one connection until it breaks, or all is done: then true."""
        self._again = [*self._again, *self._under_way.values()]
        self._under_way.clear()
        told: queue.SimpleQueue[tuple[int, float]] = queue.SimpleQueue()
        self._told = told
        self._broken.clear()
        client = self._client(place)
        client.on_publish = lambda _c, _u, mid, *_: told.put((mid, time.monotonic()))
        try:
            client.connect(place.host, place.port, keepalive=10)
        except OSError:
            return False
        client.loop_start()
        try:
            return self._publish(client)
        finally:
            client.disconnect()
            client.loop_stop()

    def _publish(self, client: paho.Client) -> bool:
        deadline = time.monotonic() + ANSWER_S
        while not client.is_connected():
            if self._broken.is_set() or time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        self.connections += 1
        begun, sent = time.monotonic(), 0
        heard, had = begun, len(self.acknowledged)
        while not self._broken.is_set():
            self._count()
            if len(self.acknowledged) > had or not self._under_way:
                heard, had = time.monotonic(), len(self.acknowledged)
            if time.monotonic() - heard > ANSWER_S:
                return False
            early = sent > (time.monotonic() - begun) * self._rate
            if len(self._under_way) >= WINDOW or early:
                time.sleep(0.002)
                continue
            number = self._next()
            if number is not None:
                sent += 1
                topic, body = self._describe(number)
                self._under_way[client.publish(topic, body, qos=1).mid] = number
            elif not self._under_way:
                return True
            else:
                time.sleep(0.002)
        return False

    def _next(self) -> int | None:
        if self._again:
            return self._again.pop()
        return None if self._enough.is_set() else next(self._numbers, None)

    def _client(self, place: Mqtt) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="counting", reconnect_on_failure=False
        )
        client.max_inflight_messages_set(WINDOW)
        client.username_pw_set(place.username, place.password)
        if place.tls:
            client.tls_set_context(place.tls_context)
        client.on_disconnect = lambda *_: self._broken.set()
        return client

    def _count(self) -> None:
        while not self._told.empty():
            mid, at = self._told.get()
            self.acknowledged.setdefault(self._under_way.pop(mid), at)
