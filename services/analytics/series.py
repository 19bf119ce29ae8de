"""Reading a datastream into arrays, and replacing what a pilot kind derived."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from shared.db import change
from shared.domain.quality import Quality

FETCHED: Final = 10_000

# One statement for many datastreams: round trips, not rows, are what a slice costs. The ORDER BY
# inside keeps the planner from turning the lookups into a scan of the whole table.
_USABLE: Final = text("""
    SELECT part.id, CAST(extract(epoch FROM found.time) AS float8), found.value
    FROM unnest(CAST(:ids AS int[]), CAST(:starts AS timestamptz[])) AS part(id, start)
    CROSS JOIN LATERAL (
        SELECT time, value FROM reading
        WHERE datastream_id = part.id AND time >= part.start AND quality <= 2
        ORDER BY time
    ) AS found
    ORDER BY part.id, found.time
""")
_COUNT: Final = text("""
    SELECT part.id, found.n
    FROM unnest(CAST(:ids AS int[]), CAST(:starts AS timestamptz[])) AS part(id, start)
    CROSS JOIN LATERAL (
        SELECT count(*) AS n FROM (
            SELECT FROM reading WHERE datastream_id = part.id AND time >= part.start LIMIT :most
        ) AS counted
    ) AS found
""")
_BACK: Final = text("""
    SELECT part.id, min(found.time) AS time
    FROM unnest(CAST(:ids AS int[]), CAST(:starts AS timestamptz[])) AS part(id, start)
    CROSS JOIN LATERAL (
        SELECT time FROM reading
        WHERE datastream_id = part.id AND time < part.start AND quality <= 2
        ORDER BY time DESC LIMIT :count
    ) AS found
    GROUP BY part.id
""")
_PRESENT: Final = text("""
    SELECT part.id, found.time, found.value, found.quality
    FROM unnest(CAST(:ids AS int[]), CAST(:starts AS timestamptz[])) AS part(id, start)
    CROSS JOIN LATERAL (
        SELECT time, value, quality FROM reading
        WHERE datastream_id = part.id AND time >= part.start
        ORDER BY time
    ) AS found
""")
# Said twice, because a join alone would open every compressed chunk there is.
_REMOVE: Final = text("""
    DELETE FROM reading
    USING unnest(CAST(:ids AS int[]), CAST(:times AS timestamptz[])) AS gone(id, time)
    WHERE reading.datastream_id = gone.id AND reading.time = gone.time
      AND reading.datastream_id = ANY(CAST(:ids AS int[]))
      AND reading.time BETWEEN :first AND :last
""")
_PUT: Final = text("""
    INSERT INTO reading (time, datastream_id, value, quality)
    SELECT time, id, value, quality
    FROM unnest(CAST(:ids AS int[]), CAST(:times AS timestamptz[]), CAST(:values AS float8[]),
                CAST(:qualities AS smallint[])) AS wanted(id, time, value, quality)
    ON CONFLICT (datastream_id, time) DO UPDATE
        SET value = excluded.value, quality = excluded.quality
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


class Replacement(NamedTuple):
    """What a derived datastream shall hold from `start` on."""

    datastream_id: int
    start: datetime
    wanted: Sequence[Derived]


def usable(connection: Connection, starts: Mapping[int, datetime]) -> dict[int, Series]:
    """Readings of quality 1 and 2 of each datastream from its start on, in time order."""
    # Streamed: a history as Python objects takes ten times the memory of its array.
    rows = connection.execute(_USABLE, _scope(starts), execution_options={"yield_per": FETCHED})
    array = np.fromiter(chain.from_iterable(rows), dtype=np.float64).reshape(-1, 3)
    found: dict[int, Series] = {}
    for number in starts:
        first, past = np.searchsorted(array[:, 0], (number, number + 1))
        found[number] = Series(array[first:past, 1].copy(), array[first:past, 2].copy())
    return found


def counts(connection: Connection, starts: Mapping[int, datetime], most: int) -> dict[int, int]:
    """How many readings each datastream has from its start on, counted up to `most`."""
    rows = connection.execute(_COUNT, {**_scope(starts), "most": most})
    return {row.id: row.n for row in rows}


def back(
    connection: Connection, befores: Mapping[int, datetime], count: int
) -> dict[int, datetime]:
    """The time of the usable reading `count` before each moment, or of the first; else the
    moment itself."""
    rows = connection.execute(_BACK, {**_scope(befores), "count": count})
    return {**befores, **{row.id: row.time for row in rows}}


def replace(connection: Connection, parts: Sequence[Replacement]) -> None:
    """Make derived datastreams from their starts on exactly what is wanted, writing and
    announcing only what differs.

    Derived times are full local hours, so each is its own cell of the roll-up.
    """
    starts = {part.datastream_id: part.start for part in parts}
    present = {
        (row.id, row.time): (row.value, row.quality)
        for row in connection.execute(_PRESENT, _scope(starts))
    }
    wanted = {
        (part.datastream_id, each.time): (each.value, int(each.quality))
        for part in parts
        for each in part.wanted
    }
    gone = sorted(present.keys() - wanted.keys())
    put = sorted(cell for cell, said in wanted.items() if present.get(cell) != said)
    if gone:
        times = [time for _, time in gone]
        connection.execute(_REMOVE, {**_columns(gone), "first": min(times), "last": max(times)})
    if put:
        said = [wanted[cell] for cell in put]
        connection.execute(
            _PUT,
            {
                **_columns(put),
                "values": [value for value, _ in said],
                "qualities": [quality for _, quality in said],
            },
        )
    change.record(connection, sorted(gone + put))


def _scope(starts: Mapping[int, datetime]) -> dict[str, object]:
    return {"ids": list(starts), "starts": list(starts.values())}


def _columns(cells: Sequence[tuple[int, datetime]]) -> dict[str, object]:
    return {"ids": [cell[0] for cell in cells], "times": [cell[1] for cell in cells]}
