"""`lab replay`: the rows of a recorded table as messages of the `lab` adapter."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from threading import Event
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import orjson

from shared.errors import OperatorError
from shared.settings import Mqtt
from simulators import clock
from simulators.message import Message, Timed
from simulators.publish import Counts, publishing
from simulators.replay_map import Map, read_map
from simulators.run import DRAIN_S, Progress, Reporter
from simulators.table import Cell, Row, rows

_NO_VALUE: Final = ("", "nan")


class ReplayError(OperatorError):
    """A row cannot be replayed, or the map lacks something; the message says which and why."""


class Record(NamedTuple):
    """One row: when, which device, which fields. Without values nothing is published."""

    time: datetime
    device: str
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class Survey:
    """What a whole file holds: its messages, rows without a value, and its span, UTC."""

    messages: int
    empty: int
    oldest: datetime
    newest: datetime


def replay(
    file: Path,
    map_file: Path,
    mqtt: Mqtt,
    *,
    now: datetime,
    stop: Event,
    shift: clock.Shift = "none",
    site: str | None = None,
    progress: Progress = lambda _counts, _done: None,
) -> Counts:
    """Publish a recorded table in file order, after checking all of it.

    file: CSV, CSV.gz or Parquet. site: overrides the map's. shift `now` moves times by whole weeks
    to end at `now`; the devices' shift_s in the site file should say so. Returns what the broker
    acknowledged; raises TableError, MapError, ReplayError or PublishFailed before publishing.
    """
    mapping = read_map(map_file)
    where = site or mapping.site
    if where is None:
        raise ReplayError(f"{map_file}: site: is missing; name one there or by --site")
    seen = survey(file, mapping)
    moved = clock.shift_of(shift, seen.newest, now)
    report = Reporter(progress)
    with publishing(mqtt, stop, report) as publisher:
        for timed in messages(file, mapping, where, moved):
            if stop.is_set():
                break
            publisher.send(timed.message)
        while not stop.is_set() and not report.backfill_done:
            report.backfill_done = publisher.drain(DRAIN_S)
        publisher.drain(DRAIN_S)
        report(publisher.counts, at_once=True)
        return publisher.counts


def survey(file: Path, mapping: Map) -> Survey:
    """Read a whole file and check every row; raises ReplayError for the first bad one."""
    count = empty = 0
    oldest = newest = None
    for record in records(file, mapping):
        if not record.values:
            empty += 1
            continue
        count += 1
        oldest = record.time if oldest is None else min(oldest, record.time)
        newest = record.time if newest is None else max(newest, record.time)
    if oldest is None or newest is None:
        raise ReplayError(f"{file}: has no row with a value to publish")
    return Survey(count, empty, oldest, newest)


def messages(file: Path, mapping: Map, site: str, shift: timedelta) -> Iterator[Timed]:
    """One message per row that has a value, in file order, times moved by `shift`."""
    for record in records(file, mapping):
        if record.values:
            at = record.time + shift
            body = {"time": at, "values": record.values, "history": True}
            payload = orjson.dumps(body, option=orjson.OPT_UTC_Z)
            topic = f"livinglab/{site}/{record.device}/up"
            yield Timed(at, Message.by_content(topic, payload))


def records(file: Path, mapping: Map) -> Iterator[Record]:
    """Every row of a mapped device, understood; raises ReplayError naming file and row."""
    last: dict[tuple[Cell, Cell], datetime] = {}
    for number, row in rows(file, mapping.columns):
        try:
            device = _device(row[mapping.device], mapping)
            if device is None:
                continue
            series = (device, row[mapping.quantity] if mapping.quantity else None)
            time = _time(row[mapping.time], mapping, last.get(series))
            last[series] = time
            yield Record(time, device, _values(row, mapping))
        except (ValueError, TypeError, OverflowError) as error:
            raise ReplayError(f"{file}: row {number}: {error}; nothing was published") from None


def _device(cell: Cell, mapping: Map) -> str | None:
    name = str(cell)
    if mapping.devices is None:
        if not name or name in ("None",) or any(sign in name for sign in "/+#\0"):
            raise ValueError(f"{mapping.device} {name[:80]!r} can be no device key: set `devices`")
        return name
    if name not in mapping.devices:
        raise ValueError(
            f"{mapping.device} {name[:80]!r} is not in the map's `devices` (null leaves it out)"
        )
    return mapping.devices[name]


def _time(cell: Cell, mapping: Map, last: datetime | None) -> datetime:
    """UTC. An hour that a clock change repeats is read in file order: a time not later than the
    one before it in the same series is the second one. A time that a change skips is an error."""
    at = _parsed_time(cell, mapping.time, mapping.time_format)
    if at.tzinfo is not None:
        return at.astimezone(UTC)
    at = at.replace(tzinfo=ZoneInfo(mapping.zone))
    time = at.astimezone(UTC)
    if time.astimezone(at.tzinfo).replace(tzinfo=None) != at.replace(tzinfo=None):
        raise ValueError(f"{mapping.time} {cell} does not exist in {mapping.zone}")
    second = at.replace(fold=1).astimezone(UTC)
    return second if last is not None and time <= last and second >= last else time


@lru_cache(maxsize=64)
def _parsed_time(cell: Cell, column: str, time_format: str | None) -> datetime:
    if isinstance(cell, datetime):
        return cell
    if not isinstance(cell, str) or not cell:
        raise ValueError(f"{column} {cell!r} is no time")
    try:
        if time_format:
            return datetime.strptime(cell, time_format)  # noqa: DTZ007 - the zone follows
        return datetime.fromisoformat(cell)
    except ValueError:
        wanted = f"of format {time_format!r}" if time_format else "in ISO 8601: set `time_format`"
        raise ValueError(f"{column} {cell[:80]!r} is no time {wanted}") from None


def _values(row: Row, mapping: Map) -> dict[str, float]:
    if mapping.quantity is None or mapping.value is None:
        read = {field: (column, row[column]) for column, field in mapping.fields.items()}
    else:
        quantity = str(row[mapping.quantity])
        if quantity not in mapping.fields:
            raise ValueError(f"{mapping.quantity} {quantity[:80]!r} is not in the map's `fields`")
        read = {mapping.fields[quantity]: (mapping.value, row[mapping.value])}
    values = {field: _number(cell, name, mapping) for field, (name, cell) in read.items()}
    return {field: value for field, value in values.items() if value is not None}


def _number(cell: Cell, column: str, mapping: Map) -> float | None:
    if cell is None or cell in mapping.missing:
        return None
    if isinstance(cell, str):
        if cell.strip().lower() in _NO_VALUE:
            return None
        try:
            value = float(
                "_" if "_" in cell else cell
            )  # Python reads 1_0 as ten, no table means it
        except ValueError:
            raise ValueError(f"{column} {cell[:80]!r} is no number") from None
    elif isinstance(cell, datetime):
        raise ValueError(f"{column} {cell} is a time, no number")
    else:
        value = float(cell)
    if math.isinf(value):
        raise ValueError(f"{column} {str(cell)!r} is no finite number")
    return None if math.isnan(value) else value
