"""Pages of other sites: none may read anything, but those named may read /v1/."""

from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import Message, Scope, Send

from services.api.contract import PREFIX

_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET",
    "Access-Control-Allow-Headers": "Authorization, X-Reason",  # a key, no cookie
    "Access-Control-Max-Age": "600",
}
_SHOWN: Final = "ETag, Link, Retry-After"


class Cors:
    """Read-only and without credentials, for the origins named; nothing at all without any."""

    def __init__(self, origins: frozenset[str]) -> None:
        self._origins = origins

    def shared(self, scope: Scope, send: Send) -> Send:
        """`send`, telling the browser of an allowed origin that its page may read the answer."""
        if not self._origins or not _ours(scope):
            return send
        origin = self._allowed(scope)

        async def with_origin(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.add_vary_header("Origin")
                if origin and scope["method"] in ("GET", "HEAD"):
                    headers["Access-Control-Allow-Origin"] = origin
                    headers["Access-Control-Expose-Headers"] = _SHOWN
            await send(message)

        return with_origin

    def preflight(self, scope: Scope) -> Response | None:
        """The answer to a browser that asks first, or None when this is no such question."""
        if scope["method"] != "OPTIONS" or not _ours(scope):
            return None
        origin = self._allowed(scope)
        if not origin or "access-control-request-method" not in Headers(scope=scope):
            return None
        headers = {"Access-Control-Allow-Origin": origin, **_PREFLIGHT}
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)

    def _allowed(self, scope: Scope) -> str | None:
        origin = Headers(scope=scope).get("origin")
        return origin if origin in self._origins else None


def _ours(scope: Scope) -> bool:
    return str(scope["path"]).startswith(f"{PREFIX}/")
