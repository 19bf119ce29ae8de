"""Pilot kind `metering`: cumulative index → consumption per local hour and day, with findings.

Each local week is computed from its own readings, the 100 before it and the 8 after it: a fixed
grid, so that any order of arrival gives the same result and old weeks are not read again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

import numpy as np
from sqlalchemy import Connection

from services.analytics import derived, findings, local_time, series
from services.analytics.findings import Found, Standing
from services.analytics.methods import meter
from services.analytics.methods.meter import Points, Segments, Volumes
from services.analytics.pilot import (
    FindingKind,
    Panel,
    Pilot,
    PilotKind,
    PilotParamsError,
    Touched,
)
from services.analytics.series import Derived, Replacement, Series
from shared.domain.quality import Quality

NAME: Final = "metering"
HOURLY: Final = "water_consumption"
DAILY: Final = "water_consumption_daily"
KINDS: Final = ("meter_gap", "meter_reset", "continuous_flow")
MAX_FLOW: Final = 3.125  # m3/h: overload flow of a household meter, Q3 2.5 (ISO 4064-1)
PULSE: Final = 0.001  # m3
GAP_S: Final = 24 * 3600.0
RUN_S: Final = 24 * 3600.0
WARM_UP: Final = 100
LOOK_AHEAD: Final = 8
# How far back of a change a run of flow may begin that is not yet a finding.
RUN_REACH: Final = timedelta(hours=28)
WEEK: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Meter:
    """What the site file says about the pilot's meters: m3/h and m3."""

    max_flow: float
    pulse: float


class Computed(NamedTuple):
    """All a meter's readings give from some week on."""

    hourly: list[Derived]
    daily: list[Derived]
    spans: Segments
    since: float  # spans that end before it are only context


def analyse(connection: Connection, pilot: Pilot, touched: Touched) -> None:
    """Bring consumption and findings of these meters to what their indexes say now."""
    settings = _settings(pilot)
    wanted = [(each.device_id, name, each.channel) for each in touched for name in (HOURLY, DAILY)]
    owned = derived.owned(connection, pilot, NAME, wanted)
    hours = {each.id: hour for each, hour in touched.items()}
    settled = series.back(connection, hours, LOOK_AHEAD)
    weeks, before = _first_weeks(connection, pilot, settled)
    starts = {number: local_time.midnight(week, pilot.zone) for number, week in weeks.items()}
    readings = series.usable(connection, series.back(connection, starts, WARM_UP))
    parts: list[Replacement] = []
    for each in touched:
        computed = compute(readings[each.id], weeks[each.id], pilot.zone, settings)
        findings.reconcile(
            connection,
            pilot_id=pilot.id,
            datastream_id=each.id,
            origin=pilot.origin,
            before=before[each.id],
            now=found(computed, settings),
        )
        first = max(starts[each.id], _first_day(computed, settled[each.id], pilot.zone))
        for name, volumes in ((HOURLY, computed.hourly), (DAILY, computed.daily)):
            number = owned[each.device_id, name, each.channel]
            kept = [reading for reading in volumes if reading.time >= first]
            parts.append(Replacement(number, first, kept))
    series.replace(connection, parts)


def compute(readings: Series, week: date, zone: str, settings: Meter) -> Computed:
    """Consumption and spans from the local `week` (a Monday) on.

    readings: index in m3, from 100 readings before that week (or the first) to the newest.
    """
    hourly: list[Derived] = []
    daily: list[Derived] = []
    spans: list[Segments] = []
    since = local_time.midnight(week, zone).timestamp()
    if len(readings.time):
        week = max(week, local_time.monday(local_time.at(readings.time[0]), zone))
    while len(readings.time) and local_time.midnight(week, zone).timestamp() <= readings.time[-1]:
        after = week + WEEK
        start, stop = (local_time.midnight(day, zone).timestamp() for day in (week, after))
        points = _points(readings, start, stop, settings)
        hours = local_time.hours(week, after, zone)
        days = local_time.midnights(week, after, zone)
        hourly += _derived(hours, meter.volumes(points, hours))
        daily += _derived(days, meter.totals(points, days))
        spans.append(meter.segments(points).ending(start if spans else 0.0, stop))
        week = after
    return Computed(hourly, daily, meter.joined(spans), since)


def found(computed: Computed, settings: Meter) -> list[Found]:
    """The findings of these spans, in order of kind and start."""
    return [*_gaps_and_resets(computed), *_flows(computed, settings)]


def _gaps_and_resets(computed: Computed) -> Iterator[Found]:
    for start, stop, before, after, joined in zip(*computed.spans, strict=True):
        if stop < computed.since or (joined and stop - start <= GAP_S):
            continue
        hours = round((stop - start) / 3600, 3)
        if joined:
            evidence = {"hours": hours, "volume_m3": round(float(after - before), 6)}
        else:
            evidence = {
                "hours": hours,
                "index_before_m3": float(before),
                "index_after_m3": float(after),
            }
        yield Found(
            kind="meter_gap" if joined else "meter_reset",
            severity="info" if joined else "warning",
            started_at=local_time.at(start),
            ended_at=local_time.at(stop),
            evidence=evidence,
        )


def _flows(computed: Computed, settings: Meter) -> Iterator[Found]:
    for run in meter.flow_runs(computed.spans, settings.pulse):
        if run.start < computed.since or run.stop - run.start < RUN_S:
            continue
        yield Found(
            kind="continuous_flow",
            severity="warning",
            started_at=local_time.at(run.start),
            ended_at=None if run.open else local_time.at(run.stop),
            evidence={
                "hours": round((run.stop - run.start) / 3600, 3),
                "volume_m3": round(run.volume, 6),
                "pulse_m3": settings.pulse,
            },
        )


def _first_weeks(
    connection: Connection, pilot: Pilot, settled: Mapping[int, datetime]
) -> tuple[dict[int, date], dict[int, list[Standing]]]:
    """The week to begin each meter with, so that no run of flow that reaches into it began
    before it, and the findings it may change."""
    weeks: dict[int, date] = {}
    before: dict[int, list[Standing]] = {}
    todo = {number: moment - RUN_REACH for number, moment in settled.items()}
    while todo:
        weeks |= {number: local_time.monday(since, pilot.zone) for number, since in todo.items()}
        starts = {number: local_time.midnight(weeks[number], pilot.zone) for number in todo}
        standing = findings.standing(connection, pilot.id, KINDS, starts)
        before |= standing
        todo = {
            number: min(earlier)
            for number, start in starts.items()
            if (earlier := [begun for begun in _flows_begun(standing[number]) if begun < start])
        }
    return weeks, before


def _flows_begun(standing: Sequence[Standing]) -> list[datetime]:
    return [each.found.started_at for each in standing if each.found.kind == "continuous_flow"]


def _first_day(computed: Computed, settled: datetime, zone: str) -> datetime:
    """The day from which volumes may differ: that of the last point before the unsettled ones."""
    starts = computed.spans.start
    place = int(np.searchsorted(starts, settled.timestamp(), side="right")) - 1
    moment = local_time.at(starts[place]) if place >= 0 else datetime.min.replace(tzinfo=UTC)
    return local_time.midnight(local_time.local_date(moment, zone), zone) if place >= 0 else moment


def _points(readings: Series, start: float, stop: float, settings: Meter) -> Points:
    first, past = np.searchsorted(readings.time, (start, stop))
    part = slice(max(0, int(first) - WARM_UP), int(past) + LOOK_AHEAD)
    return meter.clean(readings.time[part], readings.value[part], settings.max_flow)


def _derived(edges: meter.Floats, volumes: Volumes) -> list[Derived]:
    return [
        Derived(
            local_time.at(edges[i]),
            float(volumes.volume[i]),
            Quality.SUSPECT if volumes.estimated[i] else Quality.GOOD,
        )
        for i in np.flatnonzero(volumes.known)
    ]


def _settings(pilot: Pilot) -> Meter:
    values = {
        name: pilot.params.get(name, default)
        for name, default in (("max_flow_m3_h", MAX_FLOW), ("pulse_m3", PULSE))
    }
    for name, value in values.items():
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not value > 0:
            raise PilotParamsError(f"{pilot.key}: {name} must be a number above 0")
    return Meter(float(values["max_flow_m3_h"]), float(values["pulse_m3"]))


KIND: Final = PilotKind(
    name=NAME,
    label="Smart metering",
    services=("WAT-04", "WAT-02"),
    observes=("water_volume_index",),
    derives=(HOURLY, DAILY),
    findings=(
        FindingKind("meter_gap", ("info",), "No reading for more than 24 hours"),
        FindingKind("meter_reset", ("warning",), "Index reset, meter replaced, or alien readings"),
        FindingKind("continuous_flow", ("warning",), "No dry hour for 24 hours"),
    ),
    panels=(
        Panel("Consumption per hour", HOURLY, "bars"),
        Panel("Consumption per day", DAILY, "bars"),
        Panel("Meter index", "water_volume_index", "chart"),
    ),
    analyse=analyse,
)
