"""What every answer tells the browser, wherever in the application it was made."""

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Scope, Send

# Everything comes from here: a page that asks another host for anything breaks visibly.
PAGE: Final = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'"
)
DATA: Final = "default-src 'none'; frame-ancestors 'none'"
ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "camera=(), display-capture=(), geolocation=(), microphone=(), midi=(), payment=(), usb=()"
    ),
}
UNDER_TLS: Final = {"Strict-Transport-Security": "max-age=31536000"}  # RFC 6797: only there


def secured(scope: Scope, send: Send) -> Send:
    """`send`, with the headers that are not yet there."""

    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            kind = headers.get("content-type", "")
            told = {**ALWAYS, "Content-Security-Policy": policy(str(scope["path"]), kind)}
            for name, value in (told | (UNDER_TLS if scope["scheme"] == "https" else {})).items():
                headers.setdefault(name, value)
        await send(message)

    return with_headers


def policy(path: str, content_type: str) -> str:
    """The Content-Security-Policy: a worker takes its own from the file it was loaded from."""
    return PAGE if content_type.startswith("text/html") or path.startswith("/static/") else DATA
