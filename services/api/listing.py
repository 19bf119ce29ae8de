"""Lists in pages: bounded, with a cursor that is the sort key of the last item."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import BigInteger, ColumnElement, Select, literal, tuple_

Item = TypeVar("Item", bound=BaseModel)
Key = tuple[int, ...]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Payload(BaseModel):
    """What every answer is made of: built from database rows, never changed afterwards."""

    model_config = ConfigDict(from_attributes=True, frozen=True, serialize_by_alias=True)


class Listing(Payload, Generic[Item]):
    """One page of a list; `next` is the cursor of the following page, null at the end."""

    items: list[Item]
    next: str | None = Field(description="pass as `cursor` to go on; null: this was the last page")


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list: what follows the item with sort key `after`, at most `limit`."""

    limit: int = 1000
    after: Key | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """Half-open span of time: start <= t < end; None is unbounded."""

    start: datetime | None = None
    end: datetime | None = None


FIRST: Final = Page()
ALWAYS: Final = Range()


def cut(rows: Sequence[Any], page: Page, key: Callable[[Any], Key]) -> tuple[list[Any], str | None]:
    """Split `limit + 1` fetched rows into one page and the cursor of the next."""
    kept = list(rows[: page.limit])
    more = len(rows) > page.limit
    return kept, ".".join(map(str, key(kept[-1]))) if more else None


def page_after(limit: int, cursor: str | None) -> Page:
    """The page after a cursor that came from anywhere: an odd one is the first page."""
    odd = cursor is None or not re.fullmatch(r"[0-9]{1,17}\.[0-9]{1,39}", cursor)
    return Page(limit, None if odd or cursor is None else tuple(map(int, cursor.split("."))))


def ordered(query: Select[Any], column: ColumnElement[int], page: Page) -> Select[Any]:
    """The rows of one page, and one more, of a list in the order of `column`."""
    if page.after is not None:
        # Typed wide, for a cursor may hold more than the column ever will.
        query = query.where(column > literal(page.after[0], BigInteger))
    return query.order_by(column).limit(page.limit + 1)


def newest_first(
    query: Select[Any], time: ColumnElement[datetime], name: ColumnElement[Any], page: Page
) -> Select[Any]:
    """The rows of one page, and one more, of a list in falling order of a time, then a UUID."""
    if page.after:
        at, last = from_micros(page.after[0]), literal(uuid_from(page.after[1]), name.type)
        # The first bound alone lets an index find the place.
        query = query.where(time <= at, tuple_(time, name) < tuple_(at, last))
    return query.order_by(time.desc(), name.desc()).limit(page.limit + 1)


def micros(moment: datetime) -> int:
    """Microseconds since 1970, the form in which a cursor holds a time."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(number: int) -> datetime:
    """The moment a cursor holds."""
    return _EPOCH + timedelta(microseconds=number)


def uuid_number(text: str) -> int:
    """The form in which a cursor holds a UUID; the order is the same."""
    return UUID(text).int


def uuid_from(number: int) -> str:
    """The UUID a cursor holds, or the last one if it holds more."""
    return str(UUID(int=min(number, 2**128 - 1)))
