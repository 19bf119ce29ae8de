"""The MQTT session: persistent, acknowledged by hand, never blocking and never raising in paho's
thread. Why each line is as it is: deploy/README.md, "MQTT"."""

import queue
import socket
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from services.ingest.receiver import Published, Receiver
from services.ingest.uplink import Message
from shared import telemetry
from shared.errors import OperatorError
from shared.settings import Mqtt

log = structlog.get_logger()
SESSION_EXPIRY_S: Final = 7 * 24 * 3600
RECEIVE_MAXIMUM: Final = 10_000  # must exceed a batch, or the broker waits for us and we for it
UNPROMISED_MOST: Final = 50_000  # QoS 0 has no window: while the database is away, drop and count
START_PATIENCE_S: Final = 15.0
LOOP_S: Final = 0.02  # how long an acknowledgement may wait for the network thread
ADVICE: Final = (
    "check the ACL; on NATS mqtt.max_ack_pending times the filters (those ending in # count twice)"
    " must stay below 65536"
)


class BrokerUnreachable(OperatorError):
    """Nothing answers at LAB_MQTT_URL, or it refuses us."""


class Broker:
    """One connection, as an inlet."""

    keeps = True  # NATS does

    def __init__(self, settings: Mqtt) -> None:
        self.inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._settings = settings
        self._filters: set[str] = set()
        self._asked = False
        self._unconfirmed: dict[int, list[str]] = {}
        self._refused: set[str] = set()
        self._generation = 0
        self._in_flight: set[int] = set()
        # Asked at each scrape: while the database is away nothing is acknowledged.
        telemetry.IN_FLIGHT.set_function(lambda: len(self._in_flight))
        self._lock = threading.Lock()
        self._first = threading.Event()
        self._refusal: str | None = None
        self._client = _client(settings)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_block = self._on_block
        self._client.on_subscribe = self._on_subscribe
        self._thread = threading.Thread(target=self._network, name="mqtt", daemon=True)

    def start(self) -> None:
        """Connect or raise BrokerUnreachable; a connection lost later is retried for ever."""
        place = f"LAB_MQTT_URL: the broker at {self._settings.host}:{self._settings.port}"
        try:
            socket.create_connection((self._settings.host, self._settings.port), 5).close()
        except OSError as error:
            raise BrokerUnreachable(f"{place} cannot be reached: {error}") from None
        self._thread.start()
        if not self._first.wait(START_PATIENCE_S):
            raise BrokerUnreachable(f"{place} does not answer as MQTT {self._settings.protocol}")
        if self._refusal:
            raise BrokerUnreachable(f"{place} refuses us: {self._refusal}")

    def subscribe(self, filters: Iterable[str]) -> None:
        """Make the session's subscriptions exactly these filters."""
        wanted = set(filters)
        with self._lock:
            gone, self._filters = self._filters - wanted, wanted
        if gone:
            self._client.unsubscribe(sorted(gone))
        self._subscribe(wanted)
        self._asked = True

    def require_subscribed(self) -> None:
        """Wait until the broker has granted every filter; raises BrokerUnreachable."""
        deadline = time.monotonic() + START_PATIENCE_S
        while not self.subscribed and self._filters:
            if self._refused or time.monotonic() > deadline:
                refused = ", ".join(sorted(self._refused)) or "no answer"
                raise BrokerUnreachable(f"LAB_MQTT_URL: subscription refused: {refused}; {ADVICE}")
            time.sleep(0.02)

    def ack(self, messages: Iterable[Message]) -> None:
        """Confirm in receive order. Ids of an earlier connection mean other messages by now."""
        with self._lock:
            now = self._generation
            mids = [each.mid for each in messages if each.mid and each.generation == now]
            self._client.ack_all(mids)
            self._in_flight.difference_update(mids)

    def stop(self) -> None:
        """Disconnect; the broker keeps the session and what was not acknowledged."""
        self._client.disconnect()
        if self._thread.is_alive():
            self._thread.join(5)

    @property
    def alive(self) -> bool:
        """Whether the network thread runs: without it a connection only looks alive."""
        return self._thread.is_alive()

    @property
    def subscribed(self) -> bool:
        """Connected, and every wanted filter granted; before the first site there is none."""
        waiting = self._unconfirmed or self._refused
        return self._client.is_connected() and not waiting and self._asked

    def _network(self) -> None:
        try:
            self._client.connect_async(
                self._settings.host,
                self._settings.port,
                keepalive=30,
                **_session(self._settings),
            )
            self._client.loop_forever(LOOP_S, retry_first_connection=True)
        except Exception:  # told here with its cause; `alive` is then false, and ingest ends
            log.exception("network_thread_died")

    def _subscribe(self, filters: Iterable[str]) -> None:
        wanted = [(each, 1) for each in sorted(filters)]
        self._refused.clear()
        if not wanted or not self._client.is_connected():
            return  # on_connect subscribes
        with self._lock:  # the answer may arrive before this line's neighbour has run
            _, mid = self._client.subscribe(wanted)
            if mid is not None:
                self._unconfirmed[mid] = [each for each, _ in wanted]

    def _on_connect(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _props: Any
    ) -> None:
        with self._lock:
            self._generation += 1
            self._in_flight.clear()
            self._unconfirmed.clear()
        if reason.is_failure:
            self._refusal = str(reason)
            log.error("broker_refused", reason=str(reason))
        else:
            self._refusal = None
            telemetry.CONNECTED.set(1)
            log.info("broker_connected", host=self._settings.host, port=self._settings.port)
            self._subscribe(self._filters)
        self._first.set()

    def _on_disconnect(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _props: Any
    ) -> None:
        with self._lock:
            self._generation += 1  # nothing of this connection may be acknowledged on the next
        telemetry.CONNECTED.set(0)
        log.warning("broker_disconnected", reason=str(reason))

    def _on_subscribe(
        self, _client: paho.Client, _data: Any, mid: int, reasons: list[ReasonCode], _props: Any
    ) -> None:
        with self._lock:
            filters = self._unconfirmed.pop(mid, [])
        refused = {f for f, why in zip(filters, reasons, strict=False) if why.is_failure}
        self._refused |= refused
        if refused:
            log.error("subscription_refused", filters=sorted(refused), advice=ADVICE)

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        """MQTT 5, one by one."""
        topic = message._topic  # as bytes: `topic` raises for what is no UTF-8
        self._on_block(
            [Published(topic, bytes(message.payload), message.mid if message.qos else 0)]
        )

    def _on_block(self, block: list[Published]) -> None:
        """Only enqueues: an exception here would end the thread with is_connected() still true."""
        received_at = datetime.now(UTC)
        dropped = redelivered = 0
        with self._lock:
            generation, in_flight = self._generation, self._in_flight
            for topic, payload, mid in block:
                if mid in in_flight:  # redelivered while we still hold it
                    redelivered += 1
                    continue
                if mid:
                    in_flight.add(mid)
                elif self.inbox.qsize() >= UNPROMISED_MOST:
                    dropped += 1
                    continue
                self.inbox.put(Message(_text(topic), payload, received_at, mid, generation))
        if dropped:
            telemetry.MESSAGES.labels("qos0_dropped").inc(dropped)
        if redelivered:
            telemetry.MESSAGES.labels("redelivered_in_flight").inc(redelivered)


def _text(topic: bytes) -> str:
    try:
        return topic.decode()
    except UnicodeDecodeError:  # refused later, as a topic of no source
        return repr(topic)


def _client(settings: Mqtt) -> Receiver:
    five = settings.protocol == "5"
    client = Receiver(
        CallbackAPIVersion.VERSION2,
        client_id=settings.client_id,
        protocol=paho.MQTTv5 if five else paho.MQTTv311,
        clean_session=None if five else False,
        manual_ack=True,
    )
    if settings.username:
        client.username_pw_set(settings.username, settings.password)
    if settings.tls:
        client.tls_set_context(settings.tls_context)
    client.reconnect_delay_set(1, 30)
    # Or paho writes in the caller's thread too, and tells it of a lost connection while it holds
    # our lock and the network thread waits for it inside a callback: both would wait for ever.
    client.on_socket_register_write = lambda *_: None
    return client


def _session(settings: Mqtt) -> dict[str, Any]:
    """MQTT 5 only: keep the session over our restarts, and bound what is under way."""
    if settings.protocol != "5":
        return {}
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = SESSION_EXPIRY_S
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    return {"clean_start": False, "properties": properties}
