"""Pilot kind `leakage`: flows and tank levels → net inflow per hour, night flow → leaks.

Net inflow is computed from the first touched day on; leaks anew from all night flows, of which
there is one a day: the same result in whatever order readings arrive.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from services.analytics import derived, findings, local_time, series
from services.analytics.findings import Found
from services.analytics.methods import net_inflow, night_flow
from services.analytics.pilot import FindingKind, Panel, Pilot, PilotKind, Touched
from services.analytics.pilots.leakage import leaks, meters
from services.analytics.pilots.leakage.meters import FLOW, HOURLY, LEVEL, NAME, NIGHTLY, Meters
from services.analytics.pilots.leakage.params import Area, areas
from services.analytics.series import Derived, Replacement, Series
from shared.domain.quality import Quality

BEGINNING: Final = datetime(1970, 1, 2, tzinfo=UTC)
REACH: Final = timedelta(hours=1)  # how far from an hour's edge a level may be read
DECIMALS: Final = 6


def analyse(connection: Connection, pilot: Pilot, touched: Touched) -> None:
    """Bring net inflow, night flow and leaks of the touched areas to what the readings say now."""
    known = meters.meters(connection, pilot)
    parts = areas(
        pilot,
        [device for device, name in known if name == FLOW],
        [device for device, name in known if name == LEVEL],
    )
    owned = meters.owned(connection, pilot, known, parts)
    _forget(connection, pilot, [number for own in owned.values() for number in own.values()])
    for area in parts:
        own = {known[member].id for member in meters.members(area)}
        hours = {each.id: hour for each, hour in touched.items() if each.id in own}
        if hours:
            # A reading ends the hour of the one before it, however long ago that was.
            since = min(series.back(connection, hours, 1).values())
            _derive(connection, pilot, area, known, owned[area.key], since)
            _judge(connection, pilot, area, owned[area.key][NIGHTLY])


def _derive(
    connection: Connection,
    pilot: Pilot,
    area: Area,
    known: Meters,
    owned: Mapping[str, int],
    since: datetime,
) -> None:
    """Net inflow and night flow of an area from the day of `since` on."""
    day = local_time.local_date(max(since, BEGINNING) - REACH, pilot.zone)
    start = local_time.midnight(day, pilot.zone)
    own = {member: known[member] for member in meters.members(area)}
    found = series.usable(connection, {each.id: start - REACH for each in own.values()})
    readings = {member: found[each.id] for member, each in own.items()}
    hours, nights = _computed(area, own, readings, day, pilot.zone)
    series.replace(
        connection,
        [Replacement(owned[HOURLY], start, hours), Replacement(owned[NIGHTLY], start, nights)],
    )


def _computed(
    area: Area, known: Meters, readings: Mapping[tuple[str, str], Series], day: date, zone: str
) -> tuple[list[Derived], list[Derived]]:
    """Net inflow of each known hour and night flow of each known night, L/s, from `day` on."""
    times = [each.time for each in readings.values() if len(each.time)]
    if not times:
        return [], []
    oldest = local_time.local_date(local_time.at(min(each[0] for each in times)), zone)
    newest = local_time.local_date(local_time.at(max(each[-1] for each in times)), zone)
    day = max(day, oldest)
    edges = local_time.hours(day, newest + timedelta(days=1), zone)
    inflow = _inflow(area, known, readings, edges).round(DECIMALS)
    days = local_time.midnights(day, newest, zone)
    first, past = (
        np.searchsorted(edges, [leaks.at_hour(each, hour, zone).timestamp() for each in dates])
        for dates in [[day + timedelta(days=i) for i in range(len(days))]]
        for hour in area.night
    )
    nights = night_flow.means(inflow, first, past).round(DECIMALS)
    return _readings(edges, inflow), _readings(days, nights)


def _inflow(
    area: Area,
    known: Meters,
    readings: Mapping[tuple[str, str], Series],
    edges: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Net inflow per hour, L/s (m,), of edges (m + 1,) s; NaN where a meter or tank is unknown."""
    total = np.zeros(len(edges) - 1)
    for sign, devices in ((1.0, area.inflows), (-1.0, area.outflows)):
        for device in devices:
            own, least = readings[device, FLOW], known[device, FLOW].least
            total += sign * net_inflow.hourly_means(own.time, own.value, edges, least)
    for device, surface in area.tanks:
        own = readings[device, LEVEL]
        reach = REACH.total_seconds()
        total -= net_inflow.stored(own.time, own.value, edges, surface, reach)
    return total


def _readings(starts: NDArray[np.float64], value: NDArray[np.float64]) -> list[Derived]:
    return [
        Derived(local_time.at(starts[i]), float(value[i]), Quality.GOOD)
        for i in np.flatnonzero(np.isfinite(value))
    ]


def _judge(connection: Connection, pilot: Pilot, area: Area, nightly: int) -> None:
    """Bring the leaks of an area to what all its night flows say."""
    stored = series.usable(connection, {nightly: BEGINNING})[nightly]
    found = leaks.leaks(leaks.nights(stored, area, pilot.zone), area)
    _reconcile(connection, pilot, nightly, found)


def _reconcile(connection: Connection, pilot: Pilot, nightly: int, found: list[Found]) -> None:
    kinds = (leaks.FINDING,)
    findings.reconcile(
        connection,
        pilot_id=pilot.id,
        datastream_id=nightly,
        origin=pilot.origin,
        before=findings.standing(connection, pilot.id, kinds, {nightly: BEGINNING})[nightly],
        now=found,
    )


def _forget(connection: Connection, pilot: Pilot, kept: list[int]) -> None:
    """Empty what was derived for areas that the params no longer have."""
    gone = derived.others(connection, pilot, NAME, kept)
    series.replace(connection, [Replacement(number, BEGINNING, []) for number in gone])
    for number in gone:
        _reconcile(connection, pilot, number, [])


KIND: Final = PilotKind(
    name=NAME,
    label="Leak detection",
    services=("WAT-01", "WAT-02"),
    observes=(FLOW, LEVEL),
    derives=meters.DERIVED,
    findings=(FindingKind(leaks.FINDING, ("warning", "alarm", "critical"), "Leak suspected"),),
    panels=(
        Panel("Night flow", NIGHTLY),
        Panel("Net inflow", HOURLY),
        Panel("Flow", FLOW),
        Panel("Tank level", LEVEL),
    ),
    analyse=analyse,
)
