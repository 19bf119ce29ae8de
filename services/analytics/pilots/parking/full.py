"""Spans for which an area is full: findings on the area's occupancy."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from math import inf
from typing import Final

import numpy as np
from sqlalchemy import Connection

from services.analytics import findings, local_time
from services.analytics.findings import Found, Standing
from services.analytics.methods import parking
from services.analytics.pilot import Pilot
from services.analytics.pilots.parking import spaces
from services.analytics.pilots.parking.params import Full, Settings
from services.analytics.pilots.parking.spaces import BEGINNING, INSTANT, Area
from services.analytics.pilots.parking.use import KNOWN, known, taken
from services.analytics.series import Series

FINDING: Final = "full"


def judge(
    connection: Connection,
    pilot: Pilot,
    present: datetime,
    said: Settings,
    places: Mapping[int, Area],
    first: datetime,
) -> datetime | None:
    """Bring the findings of these areas, by the id of their occupancy, up to date where states may
    differ from `first` on; returns when to look again."""
    if not places:
        return None
    if said.full is None:
        forget(connection, pilot, places)
        return None
    # Before that may lie a span too short to count, a break too short to end one, and, within the
    # hour after which time is looked at, the end of what was known of a space.
    since = first - 2 * timedelta(seconds=said.full.length) - timedelta(hours=1)
    before = findings.standing(connection, pilot.id, (FINDING,), dict.fromkeys(places, since))
    starts = {
        number: min([since, *(each.found.started_at for each in old)])
        for number, old in before.items()
    }
    every = {space.id: space for area in places.values() for space in area.spaces}
    readings = spaces.readings(connection, every.values(), said, min(starts.values()))
    again = []
    for number, area in places.items():
        found, moment = full(area, readings, starts[number], present, said, said.full)
        now = [each for each in found if each.ended_at is None or each.ended_at >= since]
        _store(connection, pilot, number, before[number], now)
        again += [moment] if moment else []
    return min(again, default=None)


def forget(connection: Connection, pilot: Pilot, numbers: Collection[int]) -> None:
    """Withdraw all that was found on these occupancies."""
    if not numbers:
        return
    scope = dict.fromkeys(numbers, BEGINNING)
    for number, old in findings.standing(connection, pilot.id, (FINDING,), scope).items():
        _store(connection, pilot, number, old, [])


def full(
    area: Area,
    readings: Mapping[int, Series],
    start: datetime,
    present: datetime,
    said: Settings,
    limit: Full,
) -> tuple[list[Found], datetime | None]:
    """A finding for each span in which at least three quarters of the area's spaces were known and
    limit.at_pct of them taken, and when that may change by itself.

    Shorter spans than limit.length, and shorter breaks in them, do not count; an end is believed
    when it has lasted as long. Nothing before `start` is looked at.
    """
    until = present.timestamp()
    time, on = _above(area, readings, start.timestamp(), until, said, limit.at_pct)
    spans = parking.stays(
        time, on, until=until, hold=inf, merge=limit.length, shortest=limit.length
    )
    found, again = [], None
    for begun, over in zip(spans.start.tolist(), spans.stop.tolist(), strict=True):
        if min(over, until) - begun < limit.length:
            again = local_time.at(begun + limit.length) if over == inf else again
            continue
        lasts = over + limit.length > until
        if lasts and over < inf:
            again = local_time.at(over + limit.length)
        evidence = {
            "area": area.channel,
            "capacity": area.capacity,
            "at_pct": limit.at_pct,
            "for_min": limit.length / 60,
        }
        ended_at = None if lasts else local_time.at(over)
        found.append(Found(FINDING, "warning", local_time.at(begun), ended_at, evidence))
    return found, again + INSTANT if again else None


def _above(
    area: Area,
    readings: Mapping[int, Series],
    start: float,
    until: float,
    said: Settings,
    at_pct: float,
) -> tuple[parking.Floats, parking.Flags]:
    """From `start` on: when something changed, and whether the area was full from then on."""
    parts = [(space, readings[space.id]) for space in area.spaces]
    taken_at, number = parking.together([taken(*part, until, said) for part in parts])
    known_at, certain = parking.together([known(*part) for part in parts])
    time = np.unique(np.concatenate(([start], taken_at, known_at)))
    time = time[(time >= start) & (time <= until)]
    occupied, sure = (_at(time, *each) for each in ((taken_at, number), (known_at, certain)))
    return time, (sure >= KNOWN * area.capacity) & (100 * occupied >= at_pct * sure) & (sure > 0)


def _at(time: parking.Floats, changes: parking.Floats, value: parking.Floats) -> parking.Floats:
    """The value in force at each time, 0 before the first change."""
    place = np.searchsorted(changes, time, side="right")
    return np.append(0.0, value)[place]


def _store(
    connection: Connection,
    pilot: Pilot,
    number: int,
    before: Sequence[Standing],
    now: Sequence[Found],
) -> None:
    findings.reconcile(
        connection,
        pilot_id=pilot.id,
        datastream_id=number,
        origin=pilot.origin,
        before=before,
        now=now,
    )
