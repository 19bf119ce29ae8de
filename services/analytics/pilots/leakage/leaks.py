"""Night flows of an area → leaks: shifts of their level, each open until one as large is gone."""

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from services.analytics import local_time
from services.analytics.findings import Found
from services.analytics.methods import night_flow
from services.analytics.methods.cusum import Shift, Tracker, Tuning
from services.analytics.pilots.leakage.params import Area
from services.analytics.series import Series

FINDING: Final = "leakage"
# Chosen on L-Town January to June 2019 and ten real areas to November 2022: tests/bench/leakage.py.
TUNING: Final = Tuning(
    k=0.5, h=6.0, alpha=0.2, learn=night_flow.LEARN, floor=0.01, least=0.04, scale=1.0
)
GONE: Final = 0.5  # share of a leak's flow by which the level must drop to end it
GROWS: Final = 5  # nights within which a further rise is no other leak
SHOWN: Final = 7  # nights before the leak that its evidence tells
# Share of the night flow before it from which a leak is graver.
GRAVER: Final = ((1.0, "critical"), (0.2, "alarm"))


@dataclass(frozen=True, slots=True)
class Nights:
    """Night flows, L/s (n,), one per calendar day from `first` on, NaN where missing."""

    first: date
    flow: NDArray[np.float64]
    zone: str
    window: tuple[int, int]

    def begins(self, index: int) -> datetime:
        """When the window of a night begins, UTC."""
        return at_hour(self.first + timedelta(days=index), self.window[0], self.zone)

    def ends(self, index: int) -> datetime:
        """When the window of a night ends, UTC."""
        return at_hour(self.first + timedelta(days=index), self.window[1], self.zone)


def at_hour(day: date, hour: int, zone: str) -> datetime:
    """The instant of a local hour, 0 to 24."""
    if hour == 24:
        return local_time.midnight(day + timedelta(days=1), zone)
    return datetime.combine(day, time(hour), ZoneInfo(zone)).astimezone(UTC)


def nights(stored: Series, area: Area, zone: str) -> Nights:
    """Night flows as stored, one reading at each local midnight, on a calendar."""
    days = [local_time.local_date(local_time.at(moment), zone) for moment in stored.time]
    if not days:
        return Nights(date.min, np.empty(0), zone, area.night)
    flow = np.full((days[-1] - days[0]).days + 1, np.nan)
    flow[[(day - days[0]).days for day in days]] = stored.value
    return Nights(days[0], flow, zone, area.night)


def leaks(flows: Nights, area: Area) -> list[Found]:
    """One finding per upward shift, open until a drop of at least half its flow.

    started_at: the first night window that shows it. A further rise within 5 nights is the same
    leak, grown. A drop ends the open leak whose flow is nearest; at the time of the repair where
    that was told, else at the window that shows it.
    """
    told = _told(flows, area.repairs)
    found: list[Found] = []
    newest: Shift | None = None  # the shift of the last of them, while it may still grow
    for shift in shifts(flows.flow, told):
        if shift.size > 0:
            if newest and shift.at - newest.at <= GROWS:
                detected = found.pop().evidence["detected_at"]
                newest = newest._replace(
                    at=shift.at, size=shift.before + shift.size - newest.before
                )
            else:
                detected, newest = flows.ends(shift.at).isoformat(), shift
            found.append(_leak(flows, area, newest, detected))
        elif place := _ended_by(found, -shift.size):
            at = told[shift.at] if shift.told else flows.begins(shift.since)
            found[place[0]] = _mended(found[place[0]], at, shift)
            newest = None
    return found


def shifts(flow: NDArray[np.float64], told: Collection[int] = ()) -> list[Shift]:
    """Every shift of the level of night flows (n,), each judged by the nights before it alone.

    told: nights before which a leak was repaired. A known shift is taken out of the past, so that
    it does not pass for a habit of some weekday.
    """
    tracker = Tracker(TUNING)
    past = [float(each) for each in flow]
    found = []
    for night, value in enumerate(flow):
        habit = night_flow.usual(past, night)
        if habit is None or not np.isfinite(value):
            continue
        shift = tracker.step(night, float(value) - habit, night in told)
        if shift:
            found.append(shift)
            past[shift.since :] = [each - shift.size for each in past[shift.since :]]
    return found


def _told(flows: Nights, repairs: Sequence[datetime]) -> dict[int, datetime]:
    """The first known night after each repair."""
    known = [int(index) for index in np.flatnonzero(np.isfinite(flows.flow))]
    begins = [flows.begins(index) for index in known]
    places = {repair: bisect_left(begins, repair) for repair in repairs}
    return {known[place]: repair for repair, place in places.items() if place < len(known)}


def _leak(flows: Nights, area: Area, shift: Shift, detected: str) -> Found:
    share = shift.size / max(shift.before, 1e-9)
    shown = range(max(0, shift.since - SHOWN), shift.at + 1)
    return Found(
        kind=FINDING,
        severity=next((grave for least, grave in GRAVER if share >= least), "warning"),
        started_at=flows.begins(shift.since),
        ended_at=None,
        evidence={
            "area": area.key,
            "flow_l_s": round(shift.size, 4),
            "baseline_l_s": round(shift.before, 4),
            "noise_l_s": round(shift.sigma, 4),
            "detected_at": detected,
            "nights": [
                [(flows.first + timedelta(days=index)).isoformat(), _rounded(flows.flow[index])]
                for index in shown
            ],
        },
    )


def _rounded(flow: float) -> float | None:
    return round(float(flow), 4) if np.isfinite(flow) else None


def _ended_by(found: Sequence[Found], drop: float) -> list[int]:
    """The place of the open leak that a drop ends, if any: the one of the most similar flow."""
    flows = {
        place: float(leak.evidence["flow_l_s"])
        for place, leak in enumerate(found)
        if leak.ended_at is None and drop >= GONE * leak.evidence["flow_l_s"]
    }
    return sorted(flows, key=lambda place: abs(flows[place] - drop))[:1]


def _mended(leak: Found, at: datetime, shift: Shift) -> Found:
    evidence = {
        **leak.evidence,
        "drop_l_s": round(-shift.size, 4),
        "repair": "told" if shift.told else "seen",
    }
    return replace(leak, ended_at=max(at, leak.started_at), evidence=evidence)
