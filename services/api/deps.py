"""What routes ask for: a connection, a page, a span of time, checked identifiers."""

import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import Depends, Path, Query, Request
from pydantic import BeforeValidator, WithJsonSchema
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.access.visit import Visit
from services.api.listing import Page, Range
from shared.domain.place import Origin

_RFC3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_KEY: Final = "^[a-z0-9][a-z0-9_-]{0,62}$"
# Digits of a cursor's numbers: an id or a time in microseconds, and a UUID.
NUMBER: Final = 17
UUID_NUMBER: Final = 39
# Nothing is stored outside, so clamping to it changes no answer and spares every overflow.
_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)


def rfc3339(text: object) -> datetime:
    """An RFC 3339 time with its offset, in UTC; raises ValueError saying what is missing."""
    match = _RFC3339.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("must be RFC 3339 with an offset, such as 2026-01-31T00:00:00Z (+ as %2B)")
    day, minute, second, fraction, offset = match.groups()
    if day.startswith("0000"):  # a year RFC 3339 has and Python has not
        return _EARLIEST
    leap = second == "60"
    shown = f"{day}T{minute}:{'59' if leap else second}{(fraction or '')[:7]}{offset.upper()}"
    moment = datetime.fromisoformat(shown)
    try:
        moment = moment.astimezone(UTC) + timedelta(seconds=int(leap))
    except OverflowError:
        return _EARLIEST if moment.year == 1 else _LATEST
    return min(max(moment, _EARLIEST), _LATEST)


async def _visit(request: Request) -> Visit:
    found: Visit = request.state.visit  # the route's permission was asked for first
    return found


async def _connection(request: Request) -> AsyncConnection:
    return (await _visit(request)).connection


async def _open_connection(request: Request) -> AsyncIterator[AsyncConnection]:
    async with request.app.state.keeper.begin() as connection:
        yield connection


def paged(*digits: int, default: int = 100, most: int = 1000) -> Callable[..., Page]:
    """A page whose cursor is whole numbers of at most so many digits: any such is accepted."""
    pattern = "^" + r"\.".join(f"[0-9]{{1,{many}}}" for many in digits) + "$"

    def page(
        cursor: Annotated[
            str | None, Query(pattern=pattern, description="`next` of the page before")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=most, description="items per page")] = default,
    ) -> Page:
        return Page(limit, tuple(map(int, cursor.split("."))) if cursor else None)

    return page


Moment = Annotated[
    datetime,
    BeforeValidator(rfc3339),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


def _range(
    start: Annotated[
        Moment | None, Query(alias="from", description="RFC 3339 with offset, inclusive")
    ] = None,
    end: Annotated[
        Moment | None, Query(alias="to", description="RFC 3339 with offset, exclusive")
    ] = None,
) -> Range:
    return Range(start, end)


def _strict_flag(text: object) -> object:
    """true or false: pydantic would also take yes, on, 1."""
    if text not in ("true", "false", True, False, None):
        raise ValueError("must be true or false")
    return text


def _key(what: str) -> object:
    return Query(pattern=_KEY, description=f"key of a {what}")


# Who asks; what of their sites they see; and, where the method writes, one transaction that is
# committed before the answer is sent.
Visitor = Annotated[Visit, Depends(_visit)]
Db = Annotated[AsyncConnection, Depends(_connection)]
# For routes that are open to everybody: a transaction that sees no site.
OpenDb = Annotated[AsyncConnection, Depends(_open_connection, scope="function")]
ById = Annotated[Page, Depends(paged(NUMBER))]
ByTimeAndId = Annotated[Page, Depends(paged(NUMBER, NUMBER))]
ByTimeAndUuid = Annotated[Page, Depends(paged(NUMBER, UUID_NUMBER, default=20, most=100))]
TimeRange = Annotated[Range, Depends(_range)]
Id = Annotated[int, Path(ge=1, le=2**31 - 1)]
BigId = Annotated[int, Path(ge=1, le=2**53 - 1)]  # as far as JSON numbers are exact
SitePath = Annotated[str, Path(pattern=_KEY)]
SiteKey = Annotated[str | None, _key("site")]
PilotKey = Annotated[str | None, _key("pilot")]
SourceKey = Annotated[str | None, _key("source")]
DeviceKey = Annotated[str | None, _key("device")]
Word = Annotated[str | None, Query(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
Flag = Annotated[bool, BeforeValidator(_strict_flag)]
OriginFilter = Annotated[Origin | None, Query(description="measured, recorded or simulated")]
