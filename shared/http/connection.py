"""Connections: how many, and how long each may take to say what it wants.

uvicorn ends a connection that rests between requests, but waits for ever for the first request,
and for the rest of one of which a byte has come. Here both must be whole within HEADERS_S.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from shared.http import headers
from shared.http.peer import Peers, parsed
from shared.http.problem import MEDIA_TYPE, document

HEADERS_S: Final = 10.0
HEADER_BYTES: Final = 32 * 1024
MOST: Final = 800  # a process may usually have 1024 files open
MOST_EACH: Final = 100  # of one address that is no proxy


class Connection(H11Protocol):
    """uvicorn's own, bounded."""

    def __init__(self, *arguments: Any, peers: Peers, each: Counter[str], **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._peers = peers
        self._each = each
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._each[self._who] += 1
        if len(self.connections) > MOST or self._each[self._who] > self._allowed():
            transport.abort()
            return
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._each -= Counter([self._who])
        self._unwatch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered like any other error, if there is still something to say."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            unread, _ = self.conn.trailing_data
            large = len(unread) > HEADER_BYTES
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if large else HTTPStatus.BAD_REQUEST
            self._answer(status, f"headers may hold {HEADER_BYTES} bytes" if large else msg)
        self.transport.close()

    def _answer(self, status: HTTPStatus, detail: str) -> None:
        body = document(status, detail)
        told = {
            **headers.ALWAYS,
            **(headers.UNDER_TLS if self.scheme == "https" else {}),
            "Content-Security-Policy": headers.DATA,
            "Content-Type": MEDIA_TYPE,
            "Content-Length": str(len(body)),
            "Connection": "close",
        }
        response = h11.Response(
            status_code=status, headers=list(told.items()), reason=status.phrase.encode()
        )
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")

    def _watch(self) -> None:
        """Run the clock exactly while the headers of a request are awaited."""
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            self._unwatch()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEADERS_S, self.timeout_keep_alive_handler)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    @property
    def _who(self) -> str:
        return self.client[0] if self.client else ""

    def _allowed(self) -> int:
        here = parsed(self._who)
        known = here is not None and (here.is_loopback or self._peers.trusts(here))
        return MOST if known else MOST_EACH


def protocol(peers: Peers) -> Callable[..., Connection]:
    """What uvicorn makes for each connection of one server."""
    each: Counter[str] = Counter()

    def made(*arguments: Any, **more: Any) -> Connection:
        return Connection(*arguments, peers=peers, each=each, **more)

    return made
