"""The gate: pure ASGI around the whole application, so that no answer is made outside it."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from services.api.gate import host, refusal
from services.api.gate.cors import Cors
from services.api.gate.limits import Limits
from services.api.head import ENDLESS
from shared.http import body, headers
from shared.http.buckets import owner
from shared.http.peer import Peers
from shared.http.refusal import Refused, too_many
from shared.settings import Api

PROBE: Final = "/healthz"  # asked by whatever address a probe knows
_FREE: Final = "/static/"  # costs no database, and a page needs ten of them


class Gate:
    """Knows the client, and refuses what is not for us, too much, too slow or too often."""

    def __init__(
        self, app: ASGIApp, api: Api, limits: Limits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._limits = limits
        self._clock = clock
        self._peers = Peers(api.proxies)
        self._proxied = bool(api.proxies) and not api.loopback
        self._hosts = frozenset({urlsplit(api.public_url).hostname or ""})
        self._cors = Cors(api.origins)
        self._body_bytes = api.body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = self._peers.placed(scope)
        send = headers.secured(scope, self._cors.shared(scope, send))
        with ExitStack() as held:
            try:
                self._admit(scope, held)
                if preflight := self._cors.preflight(scope):
                    await preflight(scope, receive, send)
                    return
                receive = await body.arrived(scope, receive, self._body_bytes)
            except Refused as refused:
                await refusal.response(refused, scope)(scope, receive, send)
                return
            except body.Gone:
                return
            await self._app(scope, receive, send)

    def _admit(self, scope: Scope, held: ExitStack) -> None:
        """Raise Refused, or let pass; what a live stream holds is given back with `held`."""
        if self._proxied and scope["scheme"] == "http" and self._peers.bare(scope):
            told = "plain HTTP is answered through the proxy only (LAB_API_TRUSTED_PROXIES)"
            raise Refused(HTTPStatus.FORBIDDEN, told)
        if scope["path"] != PROBE:
            host.require_ours(scope, self._hosts)
        self._count(scope)
        if scope["path"] == ENDLESS:
            held.enter_context(self._limits.streams.held(_client(scope)))

    def _count(self, scope: Scope) -> None:
        path = str(scope["path"])
        if path.startswith(_FREE):
            return
        # Probes have a bucket of their own: a flood from their address must not end the service.
        key = f"{_client(scope)} {PROBE}" if path == PROBE else _client(scope)
        wait = self._limits.addresses.take(key, self._clock())
        if wait:
            raise too_many(wait)


def _client(scope: Scope) -> str:
    return owner(scope["state"]["address"])
