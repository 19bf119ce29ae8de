"""Pilot kind `flood`: water level → warning state by dated thresholds → findings.

Jakarta's four states: Siaga 4 normal, 3 waspada, 2 siaga, 1 bahaya; a state begins at its lower
bound. It is left after two readings in succession below the bound less `hysteresis_m`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from services.analytics import findings, local_time, params, series
from services.analytics.findings import Found, Json
from services.analytics.methods import hysteresis
from services.analytics.pilot import (
    FindingKind,
    Panel,
    Pilot,
    PilotKind,
    PilotParamsError,
    Touched,
)
from services.analytics.series import Series

HYSTERESIS_M: Final = 0.10
STATES: Final = ("siaga3", "siaga2", "siaga1")  # warning level 1, 2, 3
SEVERITY: Final = {3: "warning", 2: "alarm", 1: "critical"}
NORMAL: Final = 4


@dataclass(frozen=True, slots=True)
class Threshold:
    """Lower bounds in m, in force from `since` (s since 1970); NaN: not known."""

    since: float
    limits: tuple[float, ...]
    stated: Json  # as the site file has it


def analyse(connection: Connection, pilot: Pilot, touched: Touched) -> None:
    """Bring the flood findings of these gauges to what their readings say now."""
    margin = _margin(pilot)
    thresholds = {each.id: _thresholds(pilot, each.device) for each in touched}
    hours = {each.id: hour for each, hour in touched.items()}
    before = findings.standing(connection, pilot.id, ("flood",), hours)
    # Outside an episode the state is normal, so the start of the covering one is far enough back.
    starts = {
        number: min([hour, *(each.found.started_at for each in before[number])])
        for number, hour in hours.items()
    }
    for number, readings in series.usable(connection, starts).items():
        findings.reconcile(
            connection,
            pilot_id=pilot.id,
            datastream_id=number,
            origin=pilot.origin,
            before=before[number],
            now=episodes(readings, thresholds[number], margin),
        )


def episodes(readings: Series, thresholds: Sequence[Threshold], margin: float) -> list[Found]:
    """One finding per span at or above Siaga 3. readings: level in m, normal before the first.

    started_at: the reading that reached Siaga 3; ended_at: the second reading in succession below
    the bound less the margin, null while open. Severity follows the worst state reached.
    """
    if not thresholds or not len(readings.time):
        return []
    which = np.searchsorted([each.since for each in thresholds], readings.time, side="right") - 1
    limits = np.array([each.limits for each in thresholds])[np.maximum(which, 0)]
    limits[which < 0] = nan
    level = hysteresis.levels(readings.value, limits, margin)
    change = np.flatnonzero(np.diff(np.concatenate(([0], level > 0, [0]))))
    return [
        _episode(readings, level, which, thresholds, int(first), int(past))
        for first, past in change.reshape(-1, 2)
    ]


def _episode(
    readings: Series,
    level: NDArray[np.int8],
    which: NDArray[np.intp],
    thresholds: Sequence[Threshold],
    first: int,
    past: int,
) -> Found:
    """The finding over readings first … past - 1; `past` is the reading that ended it, if any."""
    over = past < len(level)
    span = slice(first, past)
    before = np.concatenate(([0], level[span][:-1]))
    steps = [first + int(i) for i in np.flatnonzero(level[span] != before)]
    transitions = [_transition(readings, i, NORMAL - int(level[i])) for i in steps]
    if over:
        transitions.append(_transition(readings, past, NORMAL))
    peak = first + int(np.argmax(readings.value[span]))
    state = NORMAL - int(level[span].max())
    return Found(
        kind="flood",
        severity=SEVERITY[state],
        started_at=local_time.at(readings.time[first]),
        ended_at=local_time.at(readings.time[past]) if over else None,
        evidence={
            "peak_state": state,
            "peak_level_m": float(readings.value[peak]),
            "peak_at": local_time.at(readings.time[peak]).isoformat(),
            "thresholds": [thresholds[i].stated for i in np.unique(which[span])],
            "transitions": transitions,
        },
    )


def _transition(readings: Series, place: int, state: int) -> Json:
    return {"at": local_time.at(readings.time[place]).isoformat(), "state": state}


def _margin(pilot: Pilot) -> float:
    margin = pilot.params.get("hysteresis_m", HYSTERESIS_M)
    if not params.is_number(margin) or margin < 0:
        raise PilotParamsError(f"{pilot.key}: hysteresis_m must be a number of metres, 0 or more")
    return float(margin)


def _thresholds(pilot: Pilot, device: str) -> list[Threshold]:
    """The dated thresholds of a gauge, oldest first; none known is an empty list."""
    listed = pilot.params.get("thresholds", {})
    entries = listed.get(device, []) if isinstance(listed, dict) else None
    place = f"{pilot.key}: thresholds of {device}"
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise PilotParamsError(f"{place}: must be a list of entries with valid_from and siaga3")
    found = [_threshold(pilot, place, each) for each in entries]
    return sorted(found, key=lambda each: each.since)


def _threshold(pilot: Pilot, place: str, entry: Json) -> Threshold:
    limits = [entry.get(state) for state in STATES]
    known = [limit for limit in limits if limit is not None]
    if not all(params.is_number(limit) for limit in known) or known != sorted(known):
        raise PilotParamsError(
            f"{place}: siaga3, siaga2, siaga1 must be metres, rising, null where unknown"
        )
    return Threshold(
        params.since(place, entry.get("valid_from"), pilot.zone),
        tuple(nan if limit is None else float(limit) for limit in limits),
        entry,
    )


KIND: Final = PilotKind(
    name="flood",
    label="Flood watch",
    services=("SEC-02",),
    observes=("water_level",),
    derives=(),
    findings=(FindingKind("flood", ("warning", "alarm", "critical"), "Level at Siaga 3 or above"),),
    panels=(
        Panel("Water level", "water_level", "chart", limits="thresholds"),
        Panel("Rainfall", "rainfall", "bars"),
    ),
    analyse=analyse,
)
