"""Shifts of a noisy level found by two-sided CUSUM that re-arms after each."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MEMORY: Final = 28  # residuals that tell the noise
CLIP: Final = 3.0  # times the noise: one outlier neither moves the level nor widens the noise
TO_SIGMA: Final = 1.4826  # median absolute deviation of a normal distribution to its sigma


@dataclass(frozen=True, slots=True)
class Tuning:
    """k, h: slack and threshold in sigmas; alpha: how fast the level follows slow drift, per
    value; learn: values before any is judged; floor: least sigma as a share of the level."""

    k: float
    h: float
    alpha: float
    learn: int
    floor: float = 0.01


class Shift(NamedTuple):
    """The level moved: seen first at value `since`, certain at value `at` (both indexes).

    size: new level less old (positive: up); before: the old level; sigma: the noise beside it.
    told: it was expected at this value, not inferred.
    """

    since: int
    at: int
    size: float
    before: float
    sigma: float
    told: bool = False


@dataclass(slots=True)
class _State:
    level: float
    residuals: list[float]
    seen: int  # values the level stands on since it was last set
    up: float = 0.0
    down: float = 0.0
    rising: list[int] = field(default_factory=list)
    falling: list[int] = field(default_factory=list)

    def rearm(self, level: float, seen: int) -> None:
        self.level, self.seen = level, seen
        self.up = self.down = 0.0
        self.rising, self.falling = [], []


def shifts(value: Floats, tuning: Tuning, told: Collection[int] = ()) -> list[Shift]:
    """Every shift of the level of `value`, in order, each judged by what came before it alone.

    value (n,), NaN where missing: such a value is passed over. told: indexes of values before
    which the level is known to have dropped: a lower value there is the new level at once.
    The upper sum grows by (value - level) / sigma - k, never below 0; beyond h the level has
    shifted: it becomes the mean of the last three values of the run, and both sums start anew.
    Source: Page (1954), Biometrika 41, 100-115; sigma from the median absolute residual.
    """
    known = np.flatnonzero(np.isfinite(value))
    first = known[: tuning.learn]
    if len(first) < tuning.learn:
        return []
    level = float(np.median(value[first]))
    state = _State(level, [float(each) - level for each in value[first]], len(first))
    found: list[Shift] = []
    for index in known[tuning.learn :]:
        shift = _step(state, value, int(index), tuning, int(index) in told)
        if shift:
            found.append(shift)
    return found


def _step(state: _State, value: Floats, at: int, tuning: Tuning, told: bool) -> Shift | None:
    sigma = _sigma(state, tuning)
    residual = float(value[at]) - state.level
    if told and residual < 0:
        shift = Shift(at, at, residual, state.level, sigma, told=True)
        state.rearm(float(value[at]), 1)
        return shift
    score = residual / sigma
    state.up = max(0.0, state.up + score - tuning.k)
    state.down = max(0.0, state.down - score - tuning.k)
    state.rising = [*state.rising, at] if state.up else []
    state.falling = [*state.falling, at] if state.down else []
    if max(state.up, state.down) > tuning.h:
        run = state.rising if state.up > tuning.h else state.falling
        level = float(value[run[-3:]].mean())
        shift = Shift(run[0], at, level - state.level, state.level, sigma)
        state.rearm(level, len(run[-3:]))
        return shift
    bounded = float(np.clip(residual, -CLIP * sigma, CLIP * sigma))
    state.residuals = [*state.residuals, bounded][-MEMORY:]
    state.seen += 1
    state.level += max(tuning.alpha, 1 / state.seen) * bounded
    return None


def _sigma(state: _State, tuning: Tuning) -> float:
    spread = TO_SIGMA * float(np.median(np.abs(state.residuals[-MEMORY:])))
    return max(spread, tuning.floor * abs(state.level), 1e-9)
