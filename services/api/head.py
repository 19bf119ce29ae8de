"""HEAD wherever there is GET: the same headers without a body."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ENDLESS: Final = "/v1/live"  # its answer never ends, so it has no HEAD


class Head:
    """Answers HEAD as GET would be answered, and leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or scope["path"] == ENDLESS:
            await self.app(scope, receive, send)
            return

        async def send_bodyless(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self.app({**scope, "method": "GET"}, receive, send_bodyless)
