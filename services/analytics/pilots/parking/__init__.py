"""Pilot kind `parking`: bay states and counts → stays, occupancy, arrivals, turnover, overstays.

A bay says 1 when a car comes and 0 when it leaves; signs of life repeat the state. Stays are not
stored: they follow from the readings since the bay was last vacant, so that late and repeated
ones give the same result in whatever order they arrive.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from math import isfinite, isinf
from typing import Final

from sqlalchemy import Connection

from services.analytics import findings, local_time, series
from services.analytics.findings import Found
from services.analytics.methods.parking import Floats, Stays
from services.analytics.pilot import Due, FindingKind, Panel, Pilot, PilotKind, Touched
from services.analytics.pilots.parking import spaces
from services.analytics.pilots.parking.params import Settings, settings
from services.analytics.pilots.parking.spaces import (
    ARRIVALS,
    BAY,
    COUNT,
    NAME,
    OCCUPANCY,
    STAY_MEAN,
    TURNOVER,
    Space,
)
from services.analytics.pilots.parking.use import derived, stays, used
from services.analytics.series import Replacement, Series

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
INSTANT: Final = timedelta(milliseconds=1)  # a limit is passed, not reached


def analyse(connection: Connection, pilot: Pilot, touched: Touched) -> Due | None:
    """Bring overstays of the touched bays and what the areas derive to what the readings and the
    present say now; returns when to look again."""
    rows = spaces.registered(connection, pilot)
    said = settings(pilot, {row.device for row in rows})
    if pilot.present is None:
        return None
    every = spaces.spaces(rows, said)
    hours = {each.id: hour for each, hour in touched.items()}
    bays = [space for space in every if space.bay and space.id in hours]
    due = _overstays(connection, pilot, pilot.present, said, {bay: hours[bay.id] for bay in bays})
    _use(connection, pilot, pilot.present, said, every, min(hours.values()))
    next_hour = local_time.hour(pilot.present, pilot.zone) + HOUR
    due[every[0].id] = min(next_hour, due.get(every[0].id, next_hour))
    return due


def _overstays(
    connection: Connection,
    pilot: Pilot,
    present: datetime,
    said: Settings,
    bays: Mapping[Space, datetime],
) -> dict[int, datetime]:
    """Bring the overstays of these bays up to date from their hours on; returns when each may
    have another."""
    now = present.timestamp()
    starts = spaces.vacancies(connection, {bay.id: hour for bay, hour in bays.items()}, said.merge)
    # A stay that ended where the bay was last vacant is over and done with.
    since = {number: start + timedelta(microseconds=1) for number, start in starts.items()}
    before = findings.standing(connection, pilot.id, ("overstay",), since) if bays else {}
    readings = series.usable(connection, starts)
    due: dict[int, datetime] = {}
    for bay in bays:
        own = readings[bay.id]
        seen = stays(bay, own, now, said)
        limit = said.limit_of(bay.device)
        findings.reconcile(
            connection,
            pilot_id=pilot.id,
            datastream_id=bay.id,
            origin=pilot.origin,
            before=before[bay.id],
            now=overstays(seen, now, limit, said.grace),
        )
        moment = _look_again(own, seen, now, limit + said.grace, bay.hold)
        if moment is not None:
            due[bay.id] = moment
    return due


def overstays(seen: Stays, present: float, limit: float, grace: float) -> list[Found]:
    """A finding for each stay longer than `limit` + `grace`, all in s, at the present.

    started_at: when the limit was reached; ended_at: when the bay was left or last known to be
    taken, null while the stay lasts.
    """
    found = []
    for start, stop, arrived, departed in zip(*seen, strict=True):
        if not min(stop, present) - start > limit + grace:
            continue
        lasts = isinf(stop)
        found.append(
            Found(
                kind="overstay",
                severity="warning",
                started_at=local_time.at(start + limit),
                ended_at=None if lasts else local_time.at(stop),
                evidence={
                    "occupied_since": local_time.at(start).isoformat(),
                    "arrival_seen": bool(arrived),
                    "departure_seen": None if lasts else bool(departed),
                    "limit_min": limit / 60,
                    "stay_min": None if lasts else round((stop - start) / 60, 3),
                },
            )
        )
    return found


def _look_again(
    readings: Series, seen: Stays, present: float, longest: float, hold: float
) -> datetime | None:
    """When a stay that lasts passes its limit or is no longer known to last."""
    if not len(seen.start) or not isinf(seen.stop[-1]):
        return None
    moments = [seen.start[-1] + longest, readings.time[-1] + hold]
    later = [moment for moment in moments if isfinite(moment) and moment >= present]
    return local_time.at(min(later)) + INSTANT if later else None


def _use(
    connection: Connection,
    pilot: Pilot,
    present: datetime,
    said: Settings,
    every: Sequence[Space],
    touched: datetime,
) -> None:
    """Replace what areas derive in every complete hour and day that may differ."""
    made = spaces.areas(pilot, every, said)
    owned = spaces.owned(connection, pilot, made)
    reach = timedelta(seconds=said.merge + said.shortest)
    first = local_time.hour(touched - reach, pilot.zone)
    if first + HOUR > present:
        return  # the hour under way is derived when it is over
    day = local_time.local_date(first, pilot.zone)
    over = local_time.midnight(day + DAY, pilot.zone) <= present
    begin = local_time.midnight(day, pilot.zone) if over else first
    readings = _readings(connection, every, said, begin)
    hours, days = _edges(pilot, present, begin, readings.values())
    until = present.timestamp()
    use = {
        space.id: used(space, readings[space.id], hours, until, said)
        for space in every
        if space.capacity is not None
    }
    parts = []
    for area in made:
        for name, wanted in derived(area, use, hours, days).items():
            number = owned[name, area.spaces[0].device_id, area.channel]
            parts.append(Replacement(number, begin, wanted))
    series.replace(connection, parts)


def _readings(
    connection: Connection, every: Sequence[Space], said: Settings, begin: datetime
) -> dict[int, Series]:
    """Readings of each space from before `begin` on, so that its state there is known."""
    bays = {space.id: begin for space in every if space.bay}
    counts = {space.id: begin for space in every if not space.bay}
    starts = spaces.vacancies(connection, bays, said.merge) | series.back(connection, counts, 1)
    return series.usable(connection, starts)


def _edges(
    pilot: Pilot, present: datetime, begin: datetime, readings: Iterable[Series]
) -> tuple[Floats, Floats]:
    """Edges of the complete local hours and days from `begin`, or the first reading, on."""
    heard = [local_time.at(part.time[0]) for part in readings if len(part.time)]
    first = local_time.local_date(max(begin, min(heard, default=present)), pilot.zone)
    past = local_time.local_date(present, pilot.zone) + DAY
    hours = local_time.hours(first, past, pilot.zone)
    days = local_time.midnights(first, past, pilot.zone)
    return _within(hours, begin, present), _within(days, begin, present)


def _within(edges: Floats, begin: datetime, present: datetime) -> Floats:
    return edges[(edges >= begin.timestamp()) & (edges <= present.timestamp())]


KIND: Final = PilotKind(
    name=NAME,
    label="Smart parking",
    services=("MOB-02",),
    observes=(BAY, COUNT),
    derives=(OCCUPANCY, ARRIVALS, TURNOVER, STAY_MEAN),
    findings=(FindingKind("overstay", ("warning",), "Stay beyond the limit"),),
    panels=(
        Panel("Occupancy", OCCUPANCY, "chart"),
        Panel("Arrivals per hour", ARRIVALS, "bars"),
        Panel("Stays per space and day", TURNOVER, "bars"),
        Panel("Mean stay of the day", STAY_MEAN, "chart"),
        Panel("Bays", BAY, "state"),
        Panel("Vehicles counted", COUNT, "chart"),
    ),
    analyse=analyse,
    whole=True,
)
