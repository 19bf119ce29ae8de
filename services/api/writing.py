"""Who may write: nobody unless it is switched on, and never a page of another site."""

from collections.abc import AsyncIterator
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.problem import Forbidden
from shared.settings import Api, variable

OFF: Final = f"{variable(Api, 'finding_actions')} is off: findings can only be looked at"
FOREIGN: Final = "this was sent by a page of another site"
# A name that leads here but is not ours would make a foreign page "the same site".
_OURS: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def is_on(request: Request) -> bool:
    """Whether findings may be acted on at all."""
    return bool(request.app.state.finding_actions)


async def may_write(request: Request) -> None:
    """Raise Forbidden when writing is off or the request comes from a page of another site.

    Browsers say where a request comes from (Sec-Fetch-Site, Origin); programs say nothing.
    """
    if not is_on(request):
        raise Forbidden(OFF)
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    ours = f"{request.url.scheme}://{request.headers.get('host', '')}"
    if site not in ("same-origin", "none") or origin not in (None, ours):
        raise Forbidden(FOREIGN)
    if _host(ours) not in _OURS:
        raise Forbidden(f"writing is for {', '.join(sorted(_OURS))} only, not {_host(ours)!r}")


def _host(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:  # an odd Host header
        return None


async def _transaction(request: Request) -> AsyncIterator[AsyncConnection]:
    async with request.app.state.writer.begin() as connection:
        yield connection


# Committed before the answer is sent.
Transaction = Annotated[AsyncConnection, Depends(_transaction, scope="function")]
