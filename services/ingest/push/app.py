"""`POST /v1/ingest/{source}`: 204 when the message is durable, else a problem that says why not."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import parse_qsl, unquote

from starlette.types import Receive, Scope, Send

from services.ingest import pushed
from services.ingest.push.door import Door
from services.ingest.push.known import Target
from services.ingest.pushed import Pushed
from services.ingest.uplink import Adapter
from services.ingest.uplink import Refused as Unusable
from shared import telemetry
from shared.http import body, headers
from shared.http.buckets import owner
from shared.http.peer import Peers
from shared.http.problem import MEDIA_TYPE, document
from shared.http.refusal import Refused
from shared.settings import Push

PREFIX: Final = "/v1/ingest/"
_STATUS: Final = {"bad_json": HTTPStatus.BAD_REQUEST}  # else the JSON is one we cannot place


class Deliver(Protocol):
    """Return when a message is durable; raises Refused."""

    async def __call__(self, topic: str, payload: bytes) -> None: ...


class App:
    """Pure ASGI: one route, and nothing between it and the inlet."""

    def __init__(
        self, settings: Push, door: Door, adapters: Mapping[str, Adapter], deliver: Deliver
    ) -> None:
        self._door = door
        self._adapters = adapters
        self._deliver = deliver
        self._peers = Peers(settings.proxies)
        self._body_bytes = settings.body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        scope = self._peers.placed(scope)
        send = headers.secured(scope, send)
        try:
            await self._take(scope, receive)
        except Refused as refused:
            await _answer(scope, send, refused)
        except body.Gone:
            return
        else:
            await _answer(scope, send, None)

    async def _take(self, scope: Scope, receive: Receive) -> None:
        name = _source(scope)
        told = {key.lower(): value.decode("latin-1") for key, value in scope["headers"]}
        address = owner(scope["state"]["address"])
        target = self._door.admit(name, told.get(b"authorization", ""), address)
        if told.get(b"content-encoding", "identity").lower() != "identity":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the body as it is, unpacked")
        payload = await _read(scope, receive, self._body_bytes)
        topic = self._topic(target, scope, payload)
        await self._deliver(topic, payload)

    def _topic(self, target: Target, scope: Scope, payload: bytes) -> str:
        """As over MQTT, so that the same message is the same whichever way it came."""
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        request = Pushed(target.site, target.filters, query, payload)
        adapter = self._adapters.get(target.adapter)
        find = (adapter.topic_of if adapter else None) or pushed.named
        try:
            return pushed.require_own(find(request), request)
        except Unusable as unusable:
            status = _STATUS.get(unusable.reason, HTTPStatus.UNPROCESSABLE_ENTITY)
            raise Refused(status, f"{unusable.reason}: {unusable.detail}") from None


def _source(scope: Scope) -> str:
    """The source a path names; raises Refused."""
    path = str(scope["path"])
    name = unquote(path.removeprefix(PREFIX))
    if not path.startswith(PREFIX) or not name or "/" in name:
        raise Refused(HTTPStatus.NOT_FOUND, "there is POST /v1/ingest/SITE.SOURCE, nothing else")
    if scope["method"] != "POST":
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "messages are posted", {"Allow": "POST"})
    return name


async def _read(scope: Scope, receive: Receive, most: int) -> bytes:
    arrived = await body.arrived(scope, receive, most)
    message = await arrived()
    payload = bytes(message.get("body", b""))
    if not payload:
        raise Refused(HTTPStatus.BAD_REQUEST, "the body is empty")
    return payload


async def _answer(scope: Scope, send: Send, refused: Refused | None) -> None:
    status = refused.status if refused else HTTPStatus.NO_CONTENT
    telemetry.PUSHES.labels(str(int(status))).inc()
    content = document(status, refused.detail, str(scope["path"])) if refused else b""
    told = {**(refused.headers if refused else {})}
    if refused:
        told |= {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(content))}
    lines = [(name.lower().encode(), value.encode()) for name, value in told.items()]
    await send({"type": "http.response.start", "status": int(status), "headers": lines})
    await send({"type": "http.response.body", "body": content})
