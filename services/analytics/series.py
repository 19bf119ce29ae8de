"""Reading a datastream into arrays, and replacing what a pilot kind derived."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from shared.db import change
from shared.domain.quality import Quality

_USABLE: Final = text("""
    SELECT CAST(extract(epoch FROM time) AS float8), value
    FROM reading
    WHERE datastream_id = :datastream_id AND time >= :start AND quality <= 2
    ORDER BY time
""")
_BACK: Final = text("""
    SELECT time FROM reading
    WHERE datastream_id = :datastream_id AND time < :before AND quality <= 2
    ORDER BY time DESC LIMIT :count
""")
_REMOVE: Final = text("""
    DELETE FROM reading AS old
    WHERE datastream_id = :datastream_id AND time >= :start
      AND NOT time = ANY(CAST(:times AS timestamptz[]))
    RETURNING datastream_id, time
""")
_PUT: Final = text("""
    INSERT INTO reading AS old (time, datastream_id, value, quality)
    SELECT time, :datastream_id, value, quality
    FROM unnest(CAST(:times AS timestamptz[]), CAST(:values AS float8[]),
                CAST(:qualities AS smallint[])) AS wanted(time, value, quality)
    ON CONFLICT (datastream_id, time) DO UPDATE
        SET value = excluded.value, quality = excluded.quality
        WHERE (old.value, old.quality) IS DISTINCT FROM (excluded.value, excluded.quality)
    RETURNING datastream_id, time
""")


class Series(NamedTuple):
    """time (n,) in seconds since 1970, ascending and distinct; value (n,) in canonical unit."""

    time: NDArray[np.float64]
    value: NDArray[np.float64]


class Derived(NamedTuple):
    """One reading to be: `time` is the local hour or day it stands for."""

    time: datetime
    value: float
    quality: Quality


def usable(connection: Connection, datastream_id: int, start: datetime) -> Series:
    """Readings of quality 1 and 2 from `start` on, in time order."""
    rows: Sequence[Any] = connection.execute(
        _USABLE, {"datastream_id": datastream_id, "start": start}
    ).all()
    array = np.array([tuple(row) for row in rows], dtype=np.float64).reshape(-1, 2)
    return Series(array[:, 0].copy(), array[:, 1].copy())


def back(connection: Connection, datastream_id: int, before: datetime, count: int) -> datetime:
    """The time of the usable reading `count` before a moment, or of the first; else the moment."""
    times = connection.scalars(
        _BACK, {"datastream_id": datastream_id, "before": before, "count": count}
    ).all()
    return times[-1] if times else before


def replace(
    connection: Connection, datastream_id: int, start: datetime, wanted: Sequence[Derived]
) -> list[tuple[int, datetime]]:
    """Make a derived datastream from `start` on exactly `wanted`; returns the cells that changed.

    Derived times are full local hours, so each is its own cell of the roll-up.
    """
    times = [each.time for each in wanted]
    scope = {"datastream_id": datastream_id, "times": times}
    removed = connection.execute(_REMOVE, {**scope, "start": start})
    cells = [(row.datastream_id, row.time) for row in removed]
    if wanted:
        put = connection.execute(
            _PUT,
            {
                **scope,
                "values": [each.value for each in wanted],
                "qualities": [int(each.quality) for each in wanted],
            },
        )
        cells += [(row.datastream_id, row.time) for row in put]
    return cells


def announce(connection: Connection, cells: Sequence[tuple[int, datetime]]) -> None:
    """Tell followers about replaced cells, in an order of their own."""
    change.record(connection, sorted(set(cells)))
