"""Shifts of a noisy level found by two-sided CUSUM that follows slow drift and re-arms."""

from dataclasses import dataclass, field
from math import sqrt
from statistics import median
from typing import Final, NamedTuple

MEMORY: Final = 28  # residuals that tell the noise
CLIP: Final = 3.0  # times the noise: one outlier neither moves the level nor widens the noise
TO_SIGMA: Final = 1.4826  # median absolute deviation of a normal distribution to its sigma
HALF: Final = 0.5  # of the highest of a run: from here a value belongs to the new level
LAST: Final = 3  # values that tell a new level


@dataclass(frozen=True, slots=True)
class Tuning:
    """k, h: slack and threshold in sigmas; alpha: share of a residual by which the level follows;
    learn: values before any is judged; floor: least sigma, least: least shift worth telling, both
    as a share of the level, or of `scale` where the level is below it."""

    k: float
    h: float
    alpha: float
    learn: int
    floor: float
    least: float
    scale: float


class Shift(NamedTuple):
    """The level moved: value number `since` was the first to show it, `at` made it certain.

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
class Tracker:
    """Follows a level, value by value, and tells when it shifts.

    The upper sum grows by (value - level) / sigma - k, never below 0; beyond h the level has
    shifted, to the mean of the last three values that rise at least half as high as the highest of
    the run. Then both sums start anew. A level that stands on few values is less certain, by
    sqrt(1 + 1 / values). Source: Page (1954), Biometrika 41, 100-115; sigma from the median
    absolute residual.
    """

    tuning: Tuning
    level: float = 0.0
    seen: int = 0  # values the level stands on
    residuals: list[float] = field(default_factory=list)
    sums: dict[int, float] = field(default_factory=lambda: {1: 0.0, -1: 0.0})
    runs: dict[int, list[tuple[int, float]]] = field(default_factory=lambda: {1: [], -1: []})

    def step(self, at: int, value: float, told: bool = False) -> Shift | None:
        """Take in value number `at`; told: the level is known to have dropped just before it."""
        if len(self.residuals) < self.tuning.learn:
            self._learn(value)
            return None
        sigma, residual = self._sigma(), value - self.level
        if told and residual < 0:
            return self._shifted(Shift(at, at, residual, self.level, sigma, told=True), 1)
        for sign in (1, -1):
            score = sign * residual / (sigma * sqrt(1 + 1 / self.seen))
            self.sums[sign] = max(0.0, self.sums[sign] + score - self.tuning.k)
            self.runs[sign] = [*self.runs[sign], (at, value)] if self.sums[sign] else []
            if self.sums[sign] > self.tuning.h and (shift := self._shift(sign, at, sigma)):
                return self._shifted(*shift)
        self._follow(residual, sigma)
        return None

    def _learn(self, value: float) -> None:
        """Values as they are, until there are enough to tell level and residuals."""
        self.residuals.append(value)
        self.seen += 1
        if self.seen == self.tuning.learn:
            self.level = median(self.residuals)
            self.residuals = [each - self.level for each in self.residuals]

    def _shift(self, sign: int, at: int, sigma: float) -> tuple[Shift, int] | None:
        rises = [sign * (value - self.level) for _, value in self.runs[sign]]
        new = [
            each
            for each, rise in zip(self.runs[sign], rises, strict=True)
            if rise >= HALF * max(rises)
        ]
        last = [value for _, value in new[-LAST:]]
        size = sum(last) / len(last) - self.level
        if abs(size) < self.tuning.least * self._scale():
            return None
        return Shift(new[0][0], at, size, self.level, sigma), len(last)

    def _shifted(self, shift: Shift, seen: int) -> Shift:
        self.level += shift.size
        self.seen = seen
        self.sums = {1: 0.0, -1: 0.0}
        self.runs = {1: [], -1: []}
        return shift

    def _follow(self, residual: float, sigma: float) -> None:
        bounded = min(max(residual, -CLIP * sigma), CLIP * sigma)
        self.residuals = [*self.residuals, bounded][-MEMORY:]
        self.seen += 1
        self.level += max(self.tuning.alpha, 1 / self.seen) * bounded

    def _sigma(self) -> float:
        spread = TO_SIGMA * median(abs(each) for each in self.residuals)
        return max(spread, self.tuning.floor * self._scale())

    def _scale(self) -> float:
        return max(abs(self.level), self.tuning.scale)
