"""For whom a request is meant: another name that leads here is not ours."""

from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from starlette.types import Scope

from shared.http.refusal import Refused

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def require_ours(scope: Scope, ours: frozenset[str]) -> None:
    """Raise Refused unless the one Host header names loopback or one of `ours`, on any port.

    A page of another site could else have its own name lead here, and be let in as the same site.
    """
    said = [value.decode("latin-1") for key, value in scope["headers"] if key == b"host"]
    if len(said) != 1 or name_of(said[0]) not in LOOPBACK | ours:
        raise Refused(
            HTTPStatus.MISDIRECTED_REQUEST,
            "the Host header names a host that is not ours; LAB_API_URL says which is",
        )


def name_of(host: str) -> str | None:
    """The name or address in a Host header, in lower case; None if it is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    plain = parts.netloc == host and "@" not in host and not any(map(str.isspace, host))
    return parts.hostname if plain else None
