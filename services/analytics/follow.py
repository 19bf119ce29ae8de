"""Following `change`: how every job learns what to look at again."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection

from services.analytics.runner import Progress
from shared.db import change
from shared.db.change import Position

MAX_CHANGES: Final = 500
MAX_CELLS: Final = 20_000

Cell = tuple[int, datetime]


class Taken(NamedTuple):
    """The distinct cells of the next changes, where that leaves the follower, whether more wait."""

    cells: set[Cell]
    position: Position
    more: bool


def position(progress: Progress) -> Position:
    """Where a follower stands; the beginning when it has never run."""
    return Position(progress.get("xid", 0), progress.get("batch_id", 0))


def take(connection: Connection, start: Position, *, until: Position | None = None) -> Taken:
    """The next changes after `start`, not beyond `until`, in one slice's worth of cells."""
    changes = change.since(connection, start, MAX_CHANGES)
    if until is not None:
        changes = [each for each in changes if each.position <= until]
    cells: set[Cell] = set()
    at = start
    for taken, each in enumerate(changes, start=1):
        cells.update(each.cells)
        at = each.position
        if len(cells) >= MAX_CELLS:
            return Taken(cells, at, more=taken < len(changes) or taken == MAX_CHANGES)
    return Taken(cells, at, more=len(changes) == MAX_CHANGES)


def earliest(cells: Iterable[Cell]) -> dict[int, datetime]:
    """The first touched hour of each datastream."""
    first: dict[int, datetime] = {}
    for datastream_id, hour in cells:
        known = first.get(datastream_id)
        if known is None or hour < known:
            first[datastream_id] = hour
    return first
