"""Pilot kind `parking`: bay states and counts → stays, occupancy, arrivals, turnover, overstays.

A bay says 1 when a car comes and 0 when it leaves; signs of life repeat the state. Stays are not
stored: they follow from the readings since the bay was last vacant, so that late and repeated
ones give the same result in whatever order they arrive.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from sqlalchemy import Connection

from services.analytics import derived, local_time, series
from services.analytics.derived import Place
from services.analytics.methods.parking import Floats
from services.analytics.pilot import Due, FindingKind, Panel, Pilot, PilotKind, Touched
from services.analytics.pilots.parking import full, overstay, spaces
from services.analytics.pilots.parking.params import Settings, settings
from services.analytics.pilots.parking.spaces import (
    ARRIVALS,
    BAY,
    BEGINNING,
    COUNT,
    NAME,
    OCCUPANCY,
    STAY_MEAN,
    TURNOVER,
    Area,
)
from services.analytics.pilots.parking.use import used, yielded
from services.analytics.series import Replacement, Series

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)


def analyse(connection: Connection, pilot: Pilot, touched: Touched) -> Due | None:
    """Bring findings and what the areas derive to what the readings and the present say now;
    returns when to look again."""
    rows = spaces.registered(connection, pilot)
    said = settings(pilot, {row.device for row in rows})
    if pilot.present is None:
        return None
    every = spaces.spaces(rows, said)
    made = spaces.areas(pilot, every, said)
    owned = derived.owned(
        connection, pilot, NAME, [area.place(name) for area in made for name in area.derives]
    )
    _forget(connection, pilot, owned.values())
    hours = {each.id: hour for each, hour in touched.items()}
    bays = [space for space in every if space.bay and space.id in hours]
    starts = spaces.vacancies(connection, {bay.id: hours[bay.id] for bay in bays}, said.merge)
    readings = series.usable(connection, starts)
    due = overstay.judge(connection, pilot, pilot.present, said, bays, starts, readings)
    since = min(_since(hour, readings.get(number), said) for number, hour in hours.items())
    again = [
        full.judge(connection, pilot, pilot.present, said, _occupancies(owned, made), since),
        _use(connection, pilot, pilot.present, said, made, owned, since),
    ]
    own = every[0].id  # time passes for the pilot as a whole: any of its datastreams will do
    due[own] = min(moment for moment in (due.get(own), *again) if moment)
    return due


def _forget(connection: Connection, pilot: Pilot, kept: Collection[int]) -> None:
    """Empty what was derived for areas that are no more, and withdraw what was found there."""
    gone = derived.others(connection, pilot, NAME, kept)
    series.replace(connection, [Replacement(number, BEGINNING, []) for number in gone])
    full.forget(connection, pilot, gone)


def _since(hour: datetime, readings: Series | None, said: Settings) -> datetime:
    """From when on a bay's state may differ: what is noise is told by what follows it."""
    reach = hour - said.reach
    if readings is None:
        return hour
    first, past = np.searchsorted(readings.time, (reach.timestamp(), hour.timestamp()))
    return reach if first < past else hour


def _occupancies(owned: Mapping[Place, int], made: Sequence[Area]) -> dict[int, Area]:
    """The areas by the id of their occupancy."""
    return {owned[area.place(OCCUPANCY)]: area for area in made}


def _use(
    connection: Connection,
    pilot: Pilot,
    present: datetime,
    said: Settings,
    made: Sequence[Area],
    owned: Mapping[Place, int],
    since: datetime,
) -> datetime:
    """Replace what areas derive in every complete hour and day that may differ from `since` on or
    has been completed; returns when the next hour is."""
    newest = spaces.newest(connection, [owned[area.place(OCCUPANCY)] for area in made])
    first = local_time.hour(min(since, newest + HOUR) if newest else since, pilot.zone)
    next_hour = local_time.hour(present, pilot.zone) + HOUR
    if first + HOUR > present:
        return next_hour
    day = local_time.local_date(first, pilot.zone)
    over = local_time.midnight(day + DAY, pilot.zone) <= present
    begin = local_time.midnight(day, pilot.zone) if over else first
    every = {space.id: space for area in made for space in area.spaces}
    readings = spaces.readings(connection, every.values(), said, begin)
    hours, days = _edges(pilot, present, begin, readings.values())
    use = {
        number: used(space, readings[number], hours, present.timestamp(), said)
        for number, space in every.items()
    }
    series.replace(
        connection,
        [
            Replacement(owned[area.place(name)], begin, wanted)
            for area in made
            for name, wanted in yielded(area, use, hours, days).items()
        ],
    )
    return next_hour


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
    findings=(
        FindingKind(overstay.FINDING, ("warning",), "Parked longer than allowed"),
        FindingKind(full.FINDING, ("warning",), "Car park full"),
    ),
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
