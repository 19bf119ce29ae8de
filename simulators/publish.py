"""Publishes messages at QoS 1, keeping a window of them unacknowledged, through broker restarts.

One thread drives paho's network loop itself: nothing is queued that the window does not hold, and
acknowledgements are counted where they are read.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from shared.errors import OperatorError
from shared.settings import Mqtt
from simulators.message import Message

WINDOW: Final = 1000
_CONNECT_S: Final = 10.0
_STEP_S: Final = 0.2
_LONGEST_BACK_OFF_S: Final = 10.0
_IDENTITY_BYTES: Final = 16


class PublishFailed(OperatorError):
    """The broker cannot be reached or refuses us; the message names LAB_MQTT_URL."""


@dataclass(frozen=True, slots=True)
class Counts:
    """published: distinct messages acknowledged by the broker; repeats: acknowledged again."""

    published: int = 0
    repeats: int = 0


class Publisher:
    """A connection that publishes. Use `publishing`, which connects first and closes at the end.

    stop: set by the caller to give up waiting. each_step: called whenever the network was served,
    at least every 0.2 s. journal: a file of what was acknowledged in earlier runs, extended by
    this one, so that `published` counts a message once however often it is sent.
    """

    def __init__(
        self, mqtt: Mqtt, stop: Event, each_step: Callable[[Counts], None], journal: Path | None
    ) -> None:
        self._mqtt, self._stop, self._each_step = mqtt, stop, each_step
        self._unacknowledged: dict[int, bytes] = {}
        self._journal = _open_journal(journal) if journal else None
        self._acknowledged = _read_journal(self._journal) if self._journal is not None else set()
        self._unwritten = bytearray()
        self._repeats = 0
        self._window = WINDOW
        self._connected = False
        self._refusal = ""
        self._back_off_s = _STEP_S
        self._client = self._configured()

    @property
    def counts(self) -> Counts:
        return Counts(len(self._acknowledged), self._repeats)

    def connect(self) -> None:
        """Connect once; raises PublishFailed."""
        try:
            self._client.connect(self._mqtt.host, self._mqtt.port, keepalive=30)
        except OSError as error:
            raise self._failure(error.strerror or str(error)) from None
        deadline = time.monotonic() + _CONNECT_S
        while not self._connected:
            broken = self._client.loop(_STEP_S) != MQTTErrorCode.MQTT_ERR_SUCCESS
            if self._refusal or broken or time.monotonic() > deadline:
                raise self._failure(self._refusal or "no answer to CONNECT")

    def send(self, message: Message) -> None:
        """Publish, after waiting for room in the window. Does nothing once stopped."""
        # Half a window is freed at once: the broker works on the rest while we fill up again.
        room = self._window // 2 if len(self._unacknowledged) >= self._window else self._window
        while not self._stop.is_set() and (not self._connected or len(self._unacknowledged) > room):
            self.step()
        while not self._stop.is_set():
            info = self._client.publish(message.topic, message.payload, qos=1)
            if info.rc != MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:  # else: an old message has that mid
                self._unacknowledged[info.mid] = message.identity
                return
            self.step()

    def step(self, longest_s: float = _STEP_S) -> None:
        """Serve the network until something came, at most `longest_s`; reconnect if it broke."""
        rc = self._client.loop(min(longest_s, _STEP_S))
        self._write_journal()
        if self._refusal and self._connected:
            raise self._failure(self._refusal)
        self._each_step(self.counts)
        if rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._reconnect()

    def drain(self, patience_s: float) -> bool:
        """Wait for what is unacknowledged; whether everything was."""
        deadline = time.monotonic() + patience_s
        while self._unacknowledged and time.monotonic() < deadline:
            self.step()
        return not self._unacknowledged

    def close(self) -> None:
        self._client.disconnect()
        if self._journal is not None:
            os.close(self._journal)

    def _configured(self) -> Client:
        v5 = self._mqtt.protocol == "5"
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"livinglab-simulator-{os.getpid()}-{os.urandom(4).hex()}",
            protocol=MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,  # or paho would retry a refusal as MQTT 3.1
        )
        client.max_inflight_messages_set(0)  # the window is ours: paho walks all of its own per ack
        client.max_queued_messages_set(WINDOW)
        client.username_pw_set(self._mqtt.username, self._mqtt.password)
        if self._mqtt.tls:
            client.tls_set_context(self._mqtt.tls_context)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        return client

    def _reconnect(self) -> None:
        """One attempt, after a pause that doubles; paho sends again what was unacknowledged."""
        self._connected = False
        until = time.monotonic() + self._back_off_s
        while True:  # slept in slices: a stop ends the pause, but never becomes a busy loop
            time.sleep(_STEP_S)
            self._each_step(self.counts)
            if time.monotonic() >= until or self._stop.is_set():
                break
        self._back_off_s = min(2 * self._back_off_s, _LONGEST_BACK_OFF_S)
        try:
            self._client.reconnect()
        except OSError:
            return  # the next step finds no connection and comes here again

    def _on_connect(
        self,
        _c: Client,
        _u: Any,
        _f: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._refusal = f"refused: {reason}"
            return
        self._refusal, self._connected, self._back_off_s = "", True, _STEP_S
        self._window = min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW))

    def _on_disconnect(
        self, _c: Client, _u: Any, _f: DisconnectFlags, _r: ReasonCode, _p: Properties | None
    ) -> None:
        self._connected = False

    def _on_publish(
        self, _c: Client, _u: Any, mid: int, reason: ReasonCode, _p: Properties
    ) -> None:
        identity = self._unacknowledged.pop(mid)
        if reason.is_failure:  # MQTT 5 only: 3.1.1 has no way to say no
            self._refusal = f"refused a message: {reason}"
        elif identity in self._acknowledged:
            self._repeats += 1
        else:
            self._acknowledged.add(identity)
            self._unwritten += identity

    def _write_journal(self) -> None:
        if self._journal is not None and self._unwritten:
            os.write(self._journal, self._unwritten)
        self._unwritten.clear()

    def _failure(self, reason: str) -> PublishFailed:
        where = f"{self._mqtt.host}:{self._mqtt.port}, MQTT {self._mqtt.protocol}"
        return PublishFailed(
            f"LAB_MQTT_URL: the broker at {where}: {reason}; is it running, and the address right?"
        )


@contextmanager
def publishing(
    mqtt: Mqtt,
    stop: Event,
    each_step: Callable[[Counts], None] = lambda _: None,
    journal: Path | None = None,
) -> Iterator[Publisher]:
    """A connected publisher; raises PublishFailed when the broker cannot be reached now."""
    publisher = Publisher(mqtt, stop, each_step, journal)
    try:
        publisher.connect()
        yield publisher
    finally:
        publisher.close()


def _open_journal(file: Path) -> int:
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise PublishFailed(f"{file}: {error.strerror}") from None


def _read_journal(descriptor: int) -> set[bytes]:
    """What earlier runs got acknowledged; a record cut off by a kill is removed."""
    whole = os.fstat(descriptor).st_size // _IDENTITY_BYTES * _IDENTITY_BYTES
    os.ftruncate(descriptor, whole)
    content = os.pread(descriptor, whole, 0)
    return {content[i : i + _IDENTITY_BYTES] for i in range(0, whole, _IDENTITY_BYTES)}
