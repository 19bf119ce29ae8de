"""What a pilot's devices were meant to send, and what came, by local day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from services.analytics import local_time
from services.analytics.outcomes.arrivals import NONE, Arrivals
from shared.domain.property import HEALTH

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

HOUR_S: Final = 3600
DAY_S: Final = 86_400

_DEVICES: Final = text("""
    SELECT device.id, device.planned, device.commissioned, device.cancelled, device.maintenance,
           profile.interval_s
    FROM device LEFT JOIN profile ON profile.id = device.profile_id
    WHERE device.pilot_id = :pilot_id
    ORDER BY device.id
""")
# A message with several fields gives a reading to each datastream: the fullest one counts it once.
# What a network server tells of the device's health is no word of its sensor.
# By id, not by pilot: a device may have joined the pilot since its members were read.
_HEARD: Final = text("""
    SELECT datastream.device_id, CAST(extract(epoch FROM hour) AS float8) AS hour,
           max(n) AS n, max(n_good) AS n_good
    FROM reading_hourly
    JOIN datastream ON datastream.id = reading_hourly.datastream_id
    WHERE datastream.device_id = ANY(CAST(:devices AS int[])) AND datastream.derived_by IS NULL
      AND NOT datastream.property = ANY(CAST(:health AS text[]))
      AND hour >= :start AND hour < :stop
    GROUP BY datastream.device_id, hour
""")


class Device(NamedTuple):
    """The registry's word on one device: seconds since 1970, null where not known."""

    id: int
    planned: float | None
    commissioned: float | None
    cancelled: float | None
    maintenance: tuple[tuple[float, float], ...]
    interval_s: int | None

    @property
    def due(self) -> float | None:
        """When it was planned to be live; one without a plan, since it was commissioned."""
        return self.commissioned if self.planned is None else self.planned

    @property
    def countable(self) -> bool:
        """Whether it can be told how many readings a day should bring."""
        return self.interval_s is not None and self.interval_s <= DAY_S


@dataclass(frozen=True, slots=True)
class Exposure:
    """Whole local days of a pilot. midnights (days + 1,) s; the others (devices, days).

    heard, valid: any reading, any of quality 1 or 2. active: seconds in service, maintenance
    excluded. expected: active / interval; received: sum over cells of min(readings, expected),
    a cell being the local hour, or the day where the interval is longer than an hour. Both are 0
    for devices that are not countable. arrivals: messages, of these days or more; replayed: their
    times are not of this platform.
    """

    devices: tuple[Device, ...]
    midnights: Floats
    heard: Flags
    valid: Flags
    active: Floats
    expected: Floats
    received: Floats
    arrivals: Arrivals = NONE
    replayed: bool = False

    @property
    def end(self) -> float:
        return float(self.midnights[-1])

    def window(self, first: int, past: int) -> "Exposure":
        """The days first … past - 1."""
        days = (slice(None), slice(first, past))
        return Exposure(
            devices=self.devices,
            midnights=self.midnights[first : past + 1],
            heard=self.heard[days],
            valid=self.valid[days],
            active=self.active[days],
            expected=self.expected[days],
            received=self.received[days],
            arrivals=self.arrivals,
            replayed=self.replayed,
        )


def devices(connection: Connection, pilot_id: int) -> tuple[Device, ...]:
    """The devices of a pilot, by id."""
    return tuple(
        Device(
            id=row.id,
            planned=row.planned and row.planned.timestamp(),
            commissioned=row.commissioned and row.commissioned.timestamp(),
            cancelled=row.cancelled and row.cancelled.timestamp(),
            maintenance=tuple((_seconds(start), _seconds(end)) for start, end in row.maintenance),
            interval_s=row.interval_s,
        )
        for row in connection.execute(_DEVICES, {"pilot_id": pilot_id})
    )


def load(
    connection: Connection,
    members: Sequence[Device],
    first: date,
    past: date,
    zone: str,
) -> Exposure:
    """The exposure of these devices on the days first … past - 1 from reading_hourly."""
    edges = local_time.hours(first, past, zone)
    count, good = (np.zeros((len(members), len(edges) - 1)) for _ in range(2))
    place = {device.id: i for i, device in enumerate(members)}
    scope = {
        "devices": list(place),
        "health": list(HEALTH),
        "start": local_time.at(edges[0]),
        "stop": local_time.at(edges[-1]),
    }
    rows = connection.execute(_HEARD, scope).all()
    if rows:
        who, hour, n, n_good = (np.array(part) for part in zip(*rows, strict=True))
        cell = ([place[i] for i in who], np.searchsorted(edges, hour, side="right") - 1)
        count[cell], good[cell] = n, n_good
    return tally(members, edges, local_time.midnights(first, past, zone), count, good)


def tally(
    members: Sequence[Device], edges: Floats, midnights: Floats, count: Floats, good: Floats
) -> Exposure:
    """Days from hours. edges (hours + 1,) s; count, good (devices, hours) readings."""
    bounds = np.searchsorted(edges, midnights[:-1])
    active = np.array([_active(device, edges) for device in members]).reshape(count.shape)
    expected, received = (np.zeros((len(members), len(bounds))) for _ in range(2))
    seconds = _by_day(active, bounds)
    for i, device in enumerate(members):
        if device.interval_s is None or not device.countable:
            continue
        if device.interval_s <= HOUR_S:
            hourly = np.minimum(count[i], active[i] / device.interval_s)
            received[i] = _by_day(hourly, bounds)
        expected[i] = seconds[i] / device.interval_s
        if device.interval_s > HOUR_S:
            received[i] = np.minimum(_by_day(count[i], bounds), expected[i])
    heard, valid = (_by_day(part, bounds) > 0 for part in (count, good))
    return Exposure(tuple(members), midnights, heard, valid, seconds, expected, received)


def _by_day(hourly: Floats, bounds: NDArray[np.intp]) -> Floats:
    total: Floats = np.add.reduceat(hourly, bounds, axis=-1)
    return total


def _active(device: Device, edges: Floats) -> Floats:
    """Seconds of each hour from commissioning to cancellation, outside maintenance."""
    if device.commissioned is None:
        return np.zeros(len(edges) - 1)
    stop = edges[-1] if device.cancelled is None else device.cancelled
    return sum(
        (_inside(edges, *span) for span in served(device.commissioned, stop, device.maintenance)),
        start=np.zeros(len(edges) - 1),
    )


def _inside(edges: Floats, start: float, stop: float) -> Floats:
    return np.diff(np.clip(edges, start, max(start, stop)))


def served(
    start: float, stop: float, maintenance: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """start … stop without the maintenance spans, which may overlap."""
    spans: list[tuple[float, float]] = []
    for begin, end in sorted(maintenance):
        if begin > start:
            spans.append((start, min(begin, stop)))
        start = max(start, end)
    return [span for span in [*spans, (start, stop)] if span[0] < span[1]]


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
