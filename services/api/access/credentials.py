"""What a request shows of itself: a key in a header, or the session of a cookie."""

from dataclasses import dataclass
from typing import Final, Literal

from fastapi import Request
from fastapi.responses import Response

_SECURE: Final = "__Host-livinglab"  # browsers take it over TLS only, from this host alone
_PLAIN: Final = "livinglab"  # on loopback, without TLS
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Credentials:
    """A token and what it is said to be."""

    kind: Literal["key", "session"]
    token: str


def shown(request: Request) -> Credentials | None:
    """The key of the Authorization header, else the session of the cookie, else None."""
    header = request.headers.get("authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        return Credentials("key", token.strip() if scheme.lower() == "bearer" else "")
    token = request.cookies.get(cookie_name(request), "")
    return Credentials("session", token) if 0 < len(token) <= _LONGEST else None


def cookie_name(request: Request) -> str:
    """The session's cookie: over TLS with the prefix that no other host can forge."""
    return _SECURE if request.url.scheme == "https" else _PLAIN


def keep_session(request: Request, response: Response, token: str, seconds: int) -> None:
    """Set the session's cookie."""
    response.set_cookie(
        cookie_name(request),
        token,
        max_age=seconds,
        httponly=True,
        secure=request.url.scheme == "https",
        samesite="lax",
    )


def drop_session(request: Request, response: Response) -> None:
    """Remove the session's cookie."""
    response.delete_cookie(
        cookie_name(request),
        httponly=True,
        secure=request.url.scheme == "https",
        samesite="lax",
    )
