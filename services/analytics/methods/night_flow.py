"""Night flow of a supply area: the flow when people use least, made comparable across the week."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WEEK: Final = 7
WEEKS: Final = 8  # how many past weeks tell what is usual for a day of the week
LEARN: Final = 14  # nights before any is judged: each day of the week twice
PRESENT: Final = 5  # nights of a week that tell its middle


def means(hourly: Floats, first: NDArray[np.intp], past: NDArray[np.intp]) -> Floats:
    """Mean of hours first[i] … past[i] - 1 for each night i; NaN if one of them is unknown."""
    return np.array(
        [
            hourly[start:stop].mean() if stop > start else np.nan
            for start, stop in zip(first, past, strict=True)
        ]
    )


def adjusted(nights: Floats) -> Floats:
    """Night flows less what is usual for their day of the week.

    nights (n,) one per calendar day, NaN where missing; returns (n,) in the same unit. A night's
    usual difference is the median, over the same day of the 8 weeks before it, of the difference
    to the median of the 7 nights around it; only the first 14 nights look ahead of themselves, at
    each other. NaN where no such week is known.
    """
    around = _differences(nights)
    usual = np.full(len(nights), np.nan)
    for day in range(len(nights)):
        if day < LEARN:
            past = around[day % WEEK : LEARN : WEEK]
        else:
            past = around[max(day - WEEKS * WEEK, day % WEEK) : day : WEEK]
        known = past[np.isfinite(past)]
        if len(known):
            usual[day] = np.median(known)
    result: Floats = nights - usual
    return result


def _differences(nights: Floats) -> Floats:
    """Each night less the median of the week centred on it, where at least 5 nights are known."""
    half = WEEK // 2
    padded = np.pad(nights, half, constant_values=np.nan)
    found = np.full(len(nights), np.nan)
    for day in range(len(nights)):
        week = padded[day : day + WEEK]
        known = week[np.isfinite(week)]
        if len(known) >= PRESENT:
            found[day] = nights[day] - np.median(known)
    return found
