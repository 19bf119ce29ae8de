"""What a request carries: bounded in size and in the time it may take to arrive."""

import asyncio
from http import HTTPStatus
from typing import Final

from starlette.types import Message, Receive, Scope

from shared.http.refusal import Refused

PATIENCE_S: Final = 10.0
# The rest of what is being sent would be taken for the next request.
_LAST: Final = {"Connection": "close"}


class Gone(Exception):
    """The client left while its request was being read."""


async def arrived(scope: Scope, receive: Receive, most: int) -> Receive:
    """Read the whole body before anybody works on it; gives it again to whoever asks.

    Raises Refused for too large (declared, or counted when chunked), too slow and ambiguous
    ones, Gone.
    """
    headers = dict(scope["headers"])
    declared = headers.get(b"content-length", b"")
    if declared and b"transfer-encoding" in headers:
        # A proxy that goes by the other one would see where this request ends elsewhere.
        told = "Content-Length and Transfer-Encoding exclude each other"
        raise Refused(HTTPStatus.BAD_REQUEST, told, _LAST)
    if declared.isdigit() and int(declared) > most:
        raise _too_large(most)
    if not declared and b"transfer-encoding" not in headers:
        return receive
    try:
        async with asyncio.timeout(PATIENCE_S):
            body = await _read(receive, most)
    except TimeoutError:
        told = f"the whole body must arrive within {PATIENCE_S:.0f} seconds"
        raise Refused(HTTPStatus.REQUEST_TIMEOUT, told, _LAST) from None
    return _again(body, receive)


async def _read(receive: Receive, most: int) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        body += message.get("body", b"")
        if len(body) > most:
            raise _too_large(most)
        more = message.get("more_body", False)
    return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _too_large(most: int) -> Refused:
    told = f"the body may hold {most} bytes at most"
    return Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, told, _LAST)
