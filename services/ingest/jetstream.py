"""Messages by a queue that several workers share: NATS's own stream of what came over MQTT.

One thread speaks to the server. A connection that fails is made anew, at the next address; what is
held stays held, since the stream's sequence names a message for ever. Why: deploy/README.md.
"""

import itertools
import os
import queue
import re
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import structlog

from services.ingest.nats_wire import Frame, Interrupted, Wire
from services.ingest.uplink import Message
from shared import jetstream, telemetry
from shared.domain.subject import NotForNats, topic_of
from shared.errors import OperatorError
from shared.settings import Ingest, Mqtt

log = structlog.get_logger()
EXPIRES_S: Final = 3.0  # a pull that finds nothing ends; one unanswered for longer found no leader
GRACE_S: Final = 2.0
RETRY_S: Final = 0.5
PULL_MOST: Final = 2000
PULL_BYTES: Final = 16 * 2**20  # more than the largest message
HELD_BYTES: Final = 64 * 2**20
START_PATIENCE_S: Final = 15.0
_LEFT: Final = re.compile(rb"\r\nNats-Pending-Messages: ?(\d+)")


class QueueUnusable(OperatorError):
    """Nothing answers at LAB_INGEST_NATS_URL, it refuses us, or the queue is not there."""


class JetStream:
    """A worker at the queue, as an inlet."""

    keeps = True

    def __init__(self, settings: Ingest, mqtt: Mqtt) -> None:
        self.inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._urls, self._tls = settings.nats_addresses, mqtt.tls_context
        self._most = 4 * settings.batch_most  # one committed, one prepared, two on their way
        self._name = f"{jetstream.INBOX}.{os.urandom(8).hex()}"
        self._lock = threading.Lock()
        self._wanted: tuple[str, ...] | None = None
        self._granted: tuple[str, ...] | None = None
        self._in_flight: dict[int, tuple[bytes, int]] = {}  # sequence → where to acknowledge, size
        self._held_bytes = 0
        self._acknowledged: list[bytes] = []
        self._generation, self._created = 0, ""  # of the queue: a new one numbers anew
        self._asked, self._heard_at = 0, 0.0
        self._connected, self._failures, self._trouble = False, 0, "no answer"
        self._stopping = threading.Event()
        telemetry.IN_FLIGHT.set_function(lambda: len(self._in_flight))
        self._thread = threading.Thread(target=self._network, name="jetstream", daemon=True)

    def start(self) -> None:
        """Connect or raise QueueUnusable; a connection lost later is made anew for ever."""
        self._thread.start()
        deadline = time.monotonic() + START_PATIENCE_S
        while not self._connected:
            if self._failures >= len(self._urls) or time.monotonic() > deadline:
                self.stop()
                raise QueueUnusable(f"LAB_INGEST_NATS_URL: {self._trouble}")
            time.sleep(0.02)

    def subscribe(self, filters: Iterable[str]) -> None:
        """Let the queue be for exactly these; the network thread tells NATS."""
        self._wanted = tuple(sorted(filters))

    def require_subscribed(self) -> None:
        """Wait until NATS has taken the filters; raises QueueUnusable."""
        deadline = time.monotonic() + START_PATIENCE_S
        while not self.subscribed:
            if time.monotonic() > deadline:
                raise QueueUnusable(f"LAB_INGEST_NATS_URL: {self._trouble}")
            time.sleep(0.02)

    def ack(self, messages: Iterable[Message]) -> None:
        """Valid over any connection: it names queue and sequence. Not so for an earlier queue."""
        with self._lock:
            for message in messages:
                if message.generation == self._generation:
                    reply, size = self._in_flight.pop(message.mid, (b"", 0))
                    if reply:
                        self._held_bytes -= size
                        self._acknowledged.append(b"PUB %b 0\r\n\r\n" % reply)

    def stop(self) -> None:
        """Give back what is held, so that another worker has it at once."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(10)

    @property
    def alive(self) -> bool:
        """Whether the network thread runs."""
        return self._thread.is_alive()

    @property
    def subscribed(self) -> bool:
        """Connected to a queue that answers and is for what is wanted."""
        return self._connected and self._wanted is not None and self._granted == self._wanted

    def _network(self) -> None:
        try:
            for url in itertools.cycle(self._urls):
                if self._stopping.is_set():
                    return
                self._try(url)
                self._stopping.wait(RETRY_S)
        except Exception:  # told here with its cause; `alive` is then false, and ingest ends
            log.exception("network_thread_died")

    def _try(self, url: str) -> None:
        place = url.rpartition("@")[2].rpartition("/")[2]
        try:
            wire = Wire(url, self._tls, self._name)
            try:
                self._serve(wire, place)
            finally:
                wire.close()
        except (OSError, Interrupted) as error:
            self._trouble = f"{place}: {error or type(error).__name__}"
            log.warning("broker_disconnected", host=place, reason=str(error))
        finally:
            self._connected, self._failures = False, self._failures + 1
            telemetry.CONNECTED.set(0)

    def _serve(self, wire: Wire, place: str) -> None:
        self._asked, self._granted = 0, None
        info = self._meet(wire)
        self._connected = True
        telemetry.CONNECTED.set(1)
        log.info("broker_connected", host=place, queue=info["name"], waiting=info["num_pending"])
        while not self._stopping.is_set():
            self._receive(wire.read())
            self._tell_filters(wire)
            self._tell_acknowledged(wire)
            self._pull(wire)
        self._leave(wire)

    def _meet(self, wire: Wire) -> dict[str, Any]:
        """The queue as it is. What we hold of one that is no more is forgotten."""
        info = wire.ask(jetstream.INFO, {})
        if why := jetstream.fault(info):
            raise Interrupted(f"queue {jetstream.QUEUE}: {why}: `lab broker init` makes it")
        if info["created"] != self._created:
            with self._lock:
                self._created, self._generation = info["created"], self._generation + 1
                self._in_flight.clear()
                self._acknowledged.clear()
                self._held_bytes = 0
        return info

    def _tell_filters(self, wire: Wire) -> None:
        """Only where NATS has others: each worker is told of the same change."""
        wanted = self._wanted
        if wanted is None or wanted == self._granted:
            return
        before = self._meet(wire)["config"]
        try:
            config = jetstream.with_filters(before, wanted)
        except NotForNats as error:
            self._trouble = str(error)
            raise Interrupted(f"filters of the site files: {error}") from None
        if config != before:
            why = jetstream.fault(wire.ask(jetstream.CREATE, jetstream.request("update", config)))
            if why:
                raise Interrupted(f"the queue refuses its filters: {why}")
            log.info("queue_filters", subjects=config["filter_subjects"])
        self._granted = wanted

    def _tell_acknowledged(self, wire: Wire) -> None:
        with self._lock:
            lines, self._acknowledged = self._acknowledged, []
        if lines:
            wire.send(b"".join(lines))

    def _pull(self, wire: Wire) -> None:
        """Ask for as much as there is room for, half a pull ahead of what arrives."""
        now = time.monotonic()
        if self._asked and now - self._heard_at > EXPIRES_S + GRACE_S:
            raise Interrupted("the queue does not answer: has it a leader?")
        room = self._most - len(self._in_flight) - self._asked
        batch = min(room, PULL_MOST)
        if self._granted is None or self._held_bytes > HELD_BYTES:
            return
        if batch < 1 or self._asked > PULL_MOST // 2:
            return
        if not self._asked:
            self._heard_at = now
        self._asked += batch
        body = {"batch": batch, "expires": int(EXPIRES_S * 1e9), "max_bytes": PULL_BYTES}
        wire.publish(jetstream.NEXT, body, wire.pulls)

    def _receive(self, frames: list[Frame]) -> None:
        if not frames:
            return
        self._heard_at = time.monotonic()
        with self._lock:  # once for all of them
            for frame in frames:
                if frame.reply:
                    self._hold(frame)
                else:
                    self._ended(frame.headers)

    def _hold(self, frame: Frame) -> None:
        """Under the lock."""
        self._asked = max(0, self._asked - 1)
        sequence, received_at = _told(frame.reply)
        if sequence in self._in_flight:  # redelivered while we still hold it
            telemetry.MESSAGES.labels("redelivered_in_flight").inc()
            return
        payload = frame.payload
        self._in_flight[sequence] = frame.reply, len(payload)
        self._held_bytes += len(payload)
        topic = _topic(frame.subject)
        self.inbox.put(Message(topic, payload, received_at, sequence, self._generation))

    def _ended(self, headers: bytes) -> None:
        """A pull is over. In good order NATS tells what was left of it, were it nothing."""
        left = _LEFT.search(headers)
        if left is None:
            status = headers.partition(b"\r\n")[0].removeprefix(b"NATS/1.0 ")
            raise Interrupted(f"the queue says: {status.decode(errors='replace')}")
        self._asked = max(0, self._asked - int(left[1]))

    def _leave(self, wire: Wire) -> None:
        """Acknowledge what is committed, give back the rest."""
        self._tell_acknowledged(wire)
        self._receive([frame for frame in wire.settled() if frame.reply])
        with self._lock:
            held = [b"PUB %b 4\r\n-NAK\r\n" % reply for reply, _ in self._in_flight.values()]
        wire.settled(b"".join(held))


@lru_cache(maxsize=2**16)
def _topic(subject: bytes) -> str:
    return topic_of(subject.decode(errors="replace").removeprefix(jetstream.PREFIX))


def _told(reply: bytes) -> tuple[int, datetime]:
    """Sequence in the stream, and when the broker took the message: $JS.ACK.….TIME.PENDING."""
    words = reply.split(b".")
    offset = 2 if len(words) == 9 else 4  # the newer form names domain and account first
    return int(words[offset + 3]), datetime.fromtimestamp(int(words[offset + 5]) / 1e9, UTC)
