"""How leak alarms are scored against a known schedule, and what chance alone would reach."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, NamedTuple

import numpy as np

DAY: Final = 86400.0
MONTH: Final = 30.4375 * DAY
WINDOW: Final = {"abrupt": 3 * DAY, "incipient": 30 * DAY}
TARIFF: Final = 0.80  # EUR per m3
CREW: Final = 500.0  # EUR for a false alarm
TRIALS: Final = 300


@dataclass(frozen=True, slots=True)
class Leak:
    """A leak of the schedule: s since 1970; flow: m3 lost in each step from 1970 + step on."""

    key: str
    type: str
    area: str
    start: float
    end: float
    flow: dict[float, float]

    @property
    def until(self) -> float:
        """An alarm up to here is a hit."""
        return min(self.end, self.start + WINDOW[self.type])

    def lost_after(self, at: float) -> float:
        return sum(volume for time, volume in self.flow.items() if time >= at)


class Alarm(NamedTuple):
    at: float
    area: str


class Score(NamedTuple):
    """delays: h of each leak found, by key; repeats: alarms in the window of one found already."""

    delays: dict[str, float]
    false: int
    repeats: int
    volume: float
    eur: float


def score(leaks: Sequence[Leak], alarms: Sequence[Alarm]) -> Score:
    """A hit is an alarm of the leak's area in its window; one alarm takes one leak, the one that
    began last; an alarm in the window of leaks already found is a repeat; all others are false."""
    hits: dict[str, float] = {}
    false = repeats = 0
    for alarm in sorted(alarms):
        inside = [x for x in leaks if x.area == alarm.area and x.start <= alarm.at <= x.until]
        new = [each for each in inside if each.key not in hits]
        if new:
            hits[max(new, key=lambda each: each.start).key] = alarm.at
        elif inside:
            repeats += 1
        else:
            false += 1
    total = sum(each.lost_after(0) for each in leaks)
    saved = sum(each.lost_after(hits[each.key]) for each in leaks if each.key in hits)
    delays = {x.key: (hits[x.key] - x.start) / 3600 for x in leaks if x.key in hits}
    eur = TARIFF * saved - CREW * false
    return Score(delays, false, repeats, saved / total if total else float("nan"), eur)


def chance(leaks: Sequence[Leak], alarms: Sequence[Alarm], start: float, stop: float) -> float:
    """Share of leaks found by as many alarms per area at random times (mean of 300 trials)."""
    generator = np.random.default_rng(1)
    found = 0
    for _ in range(TRIALS):
        times = generator.uniform(start, stop, len(alarms))
        drawn = [Alarm(float(at), each.area) for at, each in zip(times, alarms, strict=True)]
        found += len(score(leaks, drawn).delays)
    return found / TRIALS / len(leaks)


def middle(values: Sequence[float]) -> float | None:
    return median(values) if values else None
