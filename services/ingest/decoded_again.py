"""What today's pipeline makes of the kept uplinks of one device: arrays of perhaps millions."""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import numpy as np

from services.ingest.binary import micros, moment
from services.ingest.pipeline import Prepared
from services.ingest.task import Desk
from services.ingest.uplink import Message

PAGE: Final = 1_000
_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)


class Series(NamedTuple):
    """Readings of one datastream: microseconds since 2000, in order, each time once."""

    times: Any
    values: Any
    qualities: Any


@dataclass(slots=True)
class Decoded:
    """covered: the times that the uplinks speak of; of each, a datastream has its reading here or
    has none. refused: uplinks by the reason for which today's pipeline would not take them."""

    covered: Any
    series: dict[int, Series]
    uplinks: int
    refused: Counter[str]

    def window(self, datastream_id: int, number: int, size: int) -> list[tuple[Any, ...]]:
        """(time, value, quality) of the `number`-th `size` covered times; None: no reading."""
        times = self.covered[(number - 1) * size : number * size]
        own = self.series.get(datastream_id)
        if own is None:
            return [(moment(t), None, None) for t in times.tolist()]
        at = np.minimum(np.searchsorted(own.times, times), len(own.times) - 1)
        found = own.times[at] == times
        rows = zip(
            times.tolist(),
            found.tolist(),
            own.values[at].tolist(),
            own.qualities[at].tolist(),
            strict=True,
        )
        return [(moment(t), v, q) if f else (moment(t), None, None) for t, f, v, q in rows]


@dataclass(slots=True)
class _Column:
    times: "array[int]" = field(default_factory=lambda: array("q"))
    received: "array[int]" = field(default_factory=lambda: array("q"))
    values: "array[float]" = field(default_factory=lambda: array("d"))
    qualities: "array[int]" = field(default_factory=lambda: array("b"))


class _Row(NamedTuple):
    uplink_id: UUID
    observed_at: datetime
    received_at: datetime
    history: bool
    topic: str
    payload: bytes


def decode(
    desk: Desk, device_id: int, start: datetime | None, end: datetime | None, *, add: bool
) -> Decoded:
    """Decode what was observed in [start, end), with what later uplinks tell of those times.

    add: make the datastreams that a device without a profile needs.
    """
    until = end or _LATEST
    covered = array("q")
    columns: dict[int, _Column] = {}
    refused: Counter[str] = Counter()
    uplinks = 0
    for page in _pages(desk, device_id, start or _EARLIEST, until):
        messages = [Message(row.topic, bytes(row.payload), row.received_at) for row in page]
        for row, prepared in zip(page, desk.prepare(messages, add=add), strict=True):
            inside = row.observed_at < until
            why = _refused(prepared, device_id)
            if inside:
                uplinks += 1
                refused.update([why] if why else [])
            if why is None:
                _take(columns, prepared)
                covered.extend(_covered(row, prepared) if inside else [])
    return Decoded(
        np.unique(np.array(covered, dtype=np.int64)),
        {number: _series(column) for number, column in columns.items()},
        uplinks,
        refused,
    )


def _refused(prepared: Prepared, device_id: int) -> str | None:
    if prepared.refused:
        return prepared.refused.reason
    return None if prepared.device and prepared.device.id == device_id else "other_device"


def _take(columns: dict[int, _Column], prepared: Prepared) -> None:
    for time, datastream_id, value, quality in prepared.readings:
        column = columns.setdefault(datastream_id, _Column())
        column.times.append(micros(time))
        column.received.append(micros(prepared.message.received_at))
        column.values.append(value)
        column.qualities.append(quality)


def _covered(row: _Row, prepared: Prepared) -> Iterator[int]:
    """Where readings of this uplink may stand: the time it was stored under, and its records'."""
    if not row.history:
        yield micros(row.observed_at)
    assert prepared.uplink is not None
    yield from (micros(record.time) for record in prepared.uplink.records)


def _series(column: _Column) -> Series:
    """In order of time; of several for one time the one received first, as when it came."""
    times = np.array(column.times, dtype=np.int64)
    order = np.lexsort((np.array(column.received, dtype=np.int64), times))
    times, first = np.unique(times[order], return_index=True)
    chosen = order[first]
    values = np.array(column.values, dtype=np.float64)[chosen]
    return Series(times, values, np.array(column.qualities, dtype=np.int8)[chosen])


def _pages(desk: Desk, device_id: int, start: datetime, end: datetime) -> Iterator[Sequence[_Row]]:
    """In the order of their own times."""
    after: tuple[datetime, UUID] = (_EARLIEST, UUID(int=0))
    while True:
        values = {"device": device_id, "start": start, "end": end, "limit": PAGE}
        cursor = desk.registry.execute(_PAGE, {**values, "after": after[0], "last": after[1]})
        page = [_Row(*row) for row in cursor]
        if not page:
            return
        yield page
        after = (page[-1].observed_at, page[-1].uplink_id)


_PAGE: Final = """
    SELECT uplink_id, observed_at, received_at, history, topic, payload FROM uplink
    WHERE device_id = %(device)s AND observed_at >= %(start)s
      AND (observed_at < %(end)s OR history)
      AND observed_at >= %(after)s AND (observed_at, uplink_id) > (%(after)s, %(last)s)
    ORDER BY observed_at, uplink_id LIMIT %(limit)s
"""
