"""Requests as an inlet: each is answered when its message is durable, and not before."""

import asyncio
import itertools
import queue
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import structlog
import uvicorn

from services.ingest.push.known import Register
from services.ingest.uplink import Message
from shared.errors import OperatorError
from shared.http.refusal import Refused
from shared.settings import Push

log = structlog.get_logger()
HELD_BYTES: Final = 64 * 2**20
START_PATIENCE_S: Final = 15.0
_SOON: Final = {"Retry-After": "5"}
_LATER: Final = {"Retry-After": "30"}


class Requests:
    """Messages by HTTP. What is not durable in time is answered 503: the sender has it still, and
    sending it again changes nothing."""

    keeps = False

    def __init__(
        self, settings: Push, register: Register, unable: Callable[[], str | None]
    ) -> None:
        """unable: why nothing can be made durable now, if that is known."""
        self.inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._settings = settings
        self._register = register
        self._unable = unable
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[bool]] = {}
        self._held = self._held_bytes = 0  # given to ingest, and neither committed nor spooled
        self._loop: asyncio.AbstractEventLoop | None = None
        self.server: uvicorn.Server | None = None  # both given before `start`
        self.sockets: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, name="push", daemon=True)

    async def deliver(self, topic: str, payload: bytes) -> None:
        """Return when the message is durable; raises Refused with Retry-After."""
        self._loop = asyncio.get_running_loop()
        if why := self._unable():
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, why, _LATER)
        if self._held >= self._settings.queue or self._held_bytes >= HELD_BYTES:
            told = "as many messages wait as this server holds"
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, told, _SOON)
        number, durable = next(self._numbers), self._loop.create_future()
        self._waiting[number] = durable
        self._held += 1
        self._held_bytes += len(payload)
        self.inbox.put(Message(topic, payload, datetime.now(UTC), number))
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                kept = await durable
        except TimeoutError:
            kept = False
        finally:
            self._waiting.pop(number, None)
        if not kept:
            told = "the message is not durable yet: send it again"
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, told, _SOON)

    def ack(self, messages: Iterable[Message]) -> None:
        """Answer whoever still waits for these."""
        numbers = [message.mid for message in messages]
        size = sum(len(message.payload) for message in messages)
        if self._loop:
            with suppress(RuntimeError):  # the server has ended: its clients know
                self._loop.call_soon_threadsafe(self._settle, numbers, size)

    def _settle(self, numbers: list[int], size: int) -> None:
        self._held -= len(numbers)
        self._held_bytes -= size
        for number in numbers:
            self._tell(number, kept=True)

    def _tell(self, number: int, *, kept: bool) -> None:
        waiting = self._waiting.get(number)
        if waiting and not waiting.done():
            waiting.set_result(kept)

    def start(self) -> None:
        """Serve; raises OperatorError when that is impossible."""
        self._register.start()
        assert self.server
        self._thread.start()
        waited = threading.Event()
        for _ in range(int(START_PATIENCE_S / 0.02)):
            if self.server.started or not self._thread.is_alive():
                break
            waited.wait(0.02)
        if not self.server.started:
            raise OperatorError("LAB_PUSH_PORT: the HTTP server did not start: see the log above")
        host, port, *_ = self.sockets[0].getsockname()
        log.info("push_listens", host=host, port=port)

    def subscribe(self, filters: Iterable[str]) -> None:
        """Nothing to ask for: a source's filters are looked at with each request."""

    def require_subscribed(self) -> None:
        """Served is subscribed."""

    def stop(self) -> None:
        """Answer 503 to whoever waits, and end."""
        if self.server:
            self.server.should_exit = True
        if self._loop:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._give_up)
        if self._thread.is_alive():
            self._thread.join(10)
        self._register.stop()

    def _give_up(self) -> None:
        for number in [*self._waiting]:
            self._tell(number, kept=False)

    @property
    def alive(self) -> bool:
        """Whether the server's thread runs."""
        return self._thread.is_alive()

    @property
    def subscribed(self) -> bool:
        """Whether it serves."""
        return self.server is not None and self.server.started

    def _serve(self) -> None:
        assert self.server
        try:
            self.server.run(self.sockets)
        except Exception:  # told here with its cause; `alive` is then false, and ingest ends
            log.exception("push_server_died")
