"""Night flow of a supply area: the flow when people use least, made comparable across the week."""

from collections.abc import Sequence
from math import isfinite
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WEEK: Final = 7
HALF: Final = WEEK // 2
WEEKS: Final = 8  # how many past weeks tell what is usual for a day of the week
LEARN: Final = 14  # nights before any is judged: each day of the week twice
PRESENT: Final = 4  # nights of a week that tell its middle


def means(hourly: Floats, first: NDArray[np.intp], past: NDArray[np.intp]) -> Floats:
    """Mean of hours first[i] … past[i] - 1 for each night i; NaN if one of them is unknown."""
    return np.array(
        [
            hourly[start:stop].mean() if stop > start else np.nan
            for start, stop in zip(first, past, strict=True)
        ]
    )


def usual(nights: Sequence[float], day: int) -> float | None:
    """By how much the night `day` usually differs from the week around it, for its weekday.

    nights: one flow per calendar day, NaN where missing, known shifts taken out. The median, over
    the same weekday of up to 8 weeks before, of the difference to the median of the 7 nights around
    it. Only the first 14 nights look ahead, at each other and never at themselves: what they differ
    by then is noise. None where no week tells.
    """
    until = max(day, LEARN)
    first = day % WEEK if day < LEARN else max(day - WEEKS * WEEK, day % WEEK)
    past = range(first, min(until, len(nights)), WEEK)
    known = [
        each
        for each in (_difference(nights, i, until) for i in past if i != day)
        if each is not None
    ]
    return median(known) if known else None


def _difference(nights: Sequence[float], day: int, until: int) -> float | None:
    week = [x for x in nights[max(0, day - HALF) : min(day + HALF + 1, until)] if isfinite(x)]
    return nights[day] - median(week) if len(week) >= PRESENT and isfinite(nights[day]) else None
