"""Spans in which any of several hourly series is at or above a limit, taken as one."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.analytics.methods import hysteresis
from services.analytics.series import Series

Floats = NDArray[np.float64]


class Episode(NamedTuple):
    """Times in s; ended null while it lasts. levels: (time, level) at each change, worst: highest.

    peak: highest value, of the series `critical`; known: the series with a value at that hour;
    beyond: the series that were at a level at all.
    """

    started: float
    ended: float | None
    levels: list[tuple[float, int]]
    worst: int
    peak: float
    peak_at: float
    critical: str
    known: tuple[str, ...]
    beyond: tuple[str, ...]


def episodes(parts: Mapping[str, Series], limits: Sequence[float], margin: float) -> list[Episode]:
    """Spans with a level above 0. parts: by name, all below every limit before their first value.

    Level k is reached at value ≥ limits[k-1] and left after two values of that series in succession
    below it less margin; a series keeps its level through hours without a value, so that a sensor
    that falls silent does not end what it found.
    """
    parts = {name: part for name, part in sorted(parts.items()) if len(part.time)}
    if not parts:
        return []
    times = np.unique(np.concatenate([part.time for part in parts.values()]))
    level = np.array([_held(part, times, limits, margin) for part in parts.values()])
    value = np.array([_placed(part, times) for part in parts.values()])
    change = np.flatnonzero(np.diff(np.concatenate(([0], level.max(axis=0) > 0, [0]))))
    return [
        _episode(tuple(parts), times, level, value, int(first), int(past))
        for first, past in change.reshape(-1, 2)
    ]


def _held(part: Series, times: Floats, limits: Sequence[float], margin: float) -> NDArray[np.int8]:
    own = hysteresis.levels(part.value, np.tile(limits, (len(part.time), 1)), margin)
    place = np.searchsorted(part.time, times, side="right") - 1
    held: NDArray[np.int8] = np.where(place >= 0, own[np.maximum(place, 0)], 0)
    return held


def _placed(part: Series, times: Floats) -> Floats:
    """The values at `times`, -inf where the series has none."""
    value = np.full(len(times), -np.inf)
    value[np.searchsorted(times, part.time)] = part.value
    return value


def _episode(
    names: tuple[str, ...],
    times: Floats,
    level: NDArray[np.int8],
    value: Floats,
    first: int,
    past: int,
) -> Episode:
    span = slice(first, past)
    worst = level[:, span].max(axis=0)
    steps = np.flatnonzero(np.diff(worst, prepend=0))
    part, hour = np.unravel_index(int(value[:, span].argmax()), value[:, span].shape)
    peak = first + int(hour)
    over = past < len(times)
    levels = [(float(times[first + i]), int(worst[i])) for i in steps]
    return Episode(
        started=float(times[first]),
        ended=float(times[past]) if over else None,
        levels=[*levels, (float(times[past]), 0)] if over else levels,
        worst=int(worst.max()),
        peak=float(value[part, peak]),
        peak_at=float(times[peak]),
        critical=names[part],
        known=tuple(n for n, v in zip(names, value[:, peak], strict=True) if v > -np.inf),
        beyond=tuple(
            name for name, own in zip(names, level[:, span], strict=True) if own.max() > 0
        ),
    )
