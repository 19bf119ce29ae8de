"""Pilot kind `environment`: air by ISPU, water by class limits and pollution index, with findings.

Each channel of a device is a station. Hours and days are judged once they are over; everything is
computed from the readings alone, so that any order of arrival gives the same result.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from math import inf
from typing import Final

from sqlalchemy import Connection

from services.analytics import findings, local_time, series
from services.analytics.findings import Found
from services.analytics.pilot import EVERY, Due, FindingKind, Panel, Pilot, PilotKind, Touched
from services.analytics.pilots.environment import air, settings, station, water
from services.analytics.pilots.environment.limits import PARAMETERS
from services.analytics.pilots.environment.settings import Settings
from services.analytics.pilots.environment.station import Part, Station
from services.analytics.series import Derived, Replacement, Series

OBSERVES: Final = tuple(
    dict.fromkeys((*air.POLLUTANTS, *PARAMETERS, water.TEMPERATURE, water.SALINITY))
)
# The index of a day's first hour rests on the day before; a day more spans changed clocks.
REACH: Final = timedelta(days=2)
ALL_OF_AIR: Final = air.parts(dict.fromkeys(air.POLLUTANTS))
ALL_OF_WATER: Final = [(water.INDEX, ""), *((water.RATIO, name) for name in PARAMETERS)]


def analyse(connection: Connection, pilot: Pilot, touched: Touched) -> Due:
    """Bring indices and findings of the touched stations to what their readings say now."""
    stated = settings.read(pilot)
    due: dict[int, datetime] = {}
    for place in station.stations(connection, touched, OBSERVES):
        # A reading ends the hour and the day of the one before it, however long ago that was.
        since = min(series.back(connection, place.touched, 1).values())
        begin = local_time.midnight(local_time.local_date(since, pilot.zone), pilot.zone)
        readings = _stored(connection, place.inputs, begin - REACH)
        _air(connection, pilot, place, readings, begin, stated)
        _water(connection, pilot, place, readings, begin, stated)
        due |= dict(_due(pilot, place, readings))
    return due


def _due(
    pilot: Pilot, place: Station, readings: Mapping[str, Series]
) -> Iterator[tuple[int, datetime]]:
    """When the hour or the day of the newest reading of each touched series will be over."""
    for name, number in place.inputs.items():
        if number in place.touched and len(readings[name].time):
            newest = local_time.at(readings[name].time[-1])
            day = local_time.local_date(newest, pilot.zone) + timedelta(days=1)
            ends = (
                local_time.hour(newest, pilot.zone) + timedelta(hours=1),
                local_time.midnight(day, pilot.zone),
            )
            pending = [end for end in ends if end > max(newest, pilot.present or newest)]
            if pending:
                yield number, min(pending)


def _air(
    connection: Connection,
    pilot: Pilot,
    place: Station,
    readings: Mapping[str, Series],
    begin: datetime,
    stated: Settings,
) -> None:
    own = {name: each for name, each in readings.items() if name in air.POLLUTANTS}
    day = local_time.local_date(begin, pilot.zone)
    derived = air.derive(own, day, pilot.zone, _present(pilot))
    ids = _replace(connection, pilot, place, begin, derived, ALL_OF_AIR)
    each = {name: ids[air.EACH, name] for name in own}

    def judge(start: datetime) -> list[Found]:
        return air.judge(_stored(connection, each, start), stated.air_hysteresis)

    _judge(connection, pilot, ids.get((air.TOTAL, "")), air.FINDING, begin, judge)


def _water(
    connection: Connection,
    pilot: Pilot,
    place: Station,
    readings: Mapping[str, Series],
    begin: datetime,
    stated: Settings,
) -> None:
    own = {name: each for name, each in readings.items() if name not in air.POLLUTANTS}
    day = local_time.local_date(begin, pilot.zone)
    derived = water.derive(own, day, pilot.zone, stated.water, _present(pilot))
    ids = _replace(connection, pilot, place, begin, derived, ALL_OF_WATER)
    each = {name: ids[prop, name] for prop, name in derived if prop == water.RATIO}
    total = ids.get((water.INDEX, ""))

    def judge(start: datetime) -> list[Found]:
        if total is None or not each:
            return []
        stored = _stored(connection, {**each, "": total}, start)
        return water.judge(stored, stored.pop(""), stated.water, set(own))

    _judge(connection, pilot, total, water.FINDING, begin, judge)


def _present(pilot: Pilot) -> float:
    return -inf if pilot.present is None else pilot.present.timestamp()


def _replace(
    connection: Connection,
    pilot: Pilot,
    place: Station,
    begin: datetime,
    derived: Mapping[Part, Sequence[Derived]],
    possible: Sequence[Part],
) -> dict[Part, int]:
    """Store what was derived from `begin` on in place of what of `possible` was there before;
    returns the ids of all these series."""
    ids = station.owned(connection, pilot, place, possible, needed=derived.keys())
    parts = [Replacement(number, begin, derived.get(part, [])) for part, number in ids.items()]
    series.replace(connection, parts)
    return ids


def _judge(
    connection: Connection,
    pilot: Pilot,
    total: int | None,
    finding: str,
    begin: datetime,
    judge: Callable[[datetime], list[Found]],
) -> None:
    """Outside an episode nothing is wrong, so the start of the covering one is far enough back."""
    if total is None:
        return
    before = findings.standing(connection, pilot.id, (finding,), {total: begin})[total]
    findings.reconcile(
        connection,
        pilot_id=pilot.id,
        datastream_id=total,
        origin=pilot.origin,
        before=before,
        now=judge(min([begin, *(old.found.started_at for old in before)])),
    )


def _stored(connection: Connection, ids: Mapping[str, int], start: datetime) -> dict[str, Series]:
    found = series.usable(connection, dict.fromkeys(ids.values(), start))
    return {name: found[number] for name, number in ids.items()}


KIND: Final = PilotKind(
    name=station.OWNER,
    label="Air and water quality",
    services=("HEA-03", "WAT-03", "WAT-05"),
    observes=OBSERVES,
    derives=tuple(dict.fromkeys(name for name, _ in (*ALL_OF_AIR, *ALL_OF_WATER))),
    findings=(
        FindingKind(air.FINDING, air.SEVERITIES, "Unhealthy air"),
        FindingKind(
            water.FINDING, ("warning", "alarm", "critical"), "Water quality beyond its limit"
        ),
    ),
    panels=(
        Panel("Air quality index of what is measured, 24 hours", air.TOTAL),
        Panel("Air quality index of each pollutant, 24 hours", air.EACH),
        Panel("Air quality index of what is measured, per day", air.TOTAL_DAILY, "bars"),
        Panel("Water pollution index of what is measured", water.INDEX),
        Panel("Water: share of the limit used", water.RATIO),
        Panel("", EVERY),
    ),
    analyse=analyse,
)
