"""Means of readings by hour, and over spans of hours that hold enough of them."""

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST: Final = 0.75  # of the hours of a span: usual in air monitoring
DAY: Final = 24


def means(time: Floats, value: Floats, edges: Floats) -> Floats:
    """Mean of the readings in each hour edges[i] … edges[i+1], NaN in an hour without any.

    time (n,) s ascending; value (n,); edges (h+1,) s ascending. Returns (h,).
    """
    hour = np.searchsorted(edges, time, side="right") - 1
    inside = (hour >= 0) & (hour < len(edges) - 1)
    hours = len(edges) - 1
    count = np.bincount(hour[inside], minlength=hours)
    total = np.bincount(hour[inside], weights=value[inside], minlength=hours)
    found: Floats = np.divide(total, count, out=np.full(hours, np.nan), where=count > 0)
    return found


def over(edges: Floats, newest: float, present: float) -> NDArray[np.bool_]:
    """Whether each span edges[i] … edges[i+1] can be judged: it is over, by a later reading or by
    the present, and began before the newest reading of the series. All s; returns (n-1,)."""
    ended: NDArray[np.bool_] = (edges[1:] <= max(newest, present)) & (edges[:-1] <= newest)
    return ended


def running(hourly: Floats, span: int = DAY) -> Floats:
    """Mean of the `span` hours that end with each one, NaN where fewer than 75 % of them are known.

    hourly (h,), NaN where unknown. Returns (h,), NaN in the first span - 1.
    """
    if len(hourly) < span:
        return np.full(len(hourly), np.nan)
    spans = np.lib.stride_tricks.sliding_window_view(hourly, span)
    return np.concatenate((np.full(span - 1, np.nan), _enough(spans)))


def by_day(hourly: Floats, bounds: NDArray[np.intp]) -> Floats:
    """Mean of the hours bounds[i] … bounds[i+1], NaN where fewer than 75 % of them are known.

    hourly (h,); bounds (d+1,) ascending. Returns (d,). A day may have 23 or 25 hours.
    """
    days = [_enough(hourly[None, a:b])[0] for a, b in pairwise(bounds)]
    return np.array(days, dtype=np.float64)


def _enough(spans: Floats) -> Floats:
    known = ~np.isnan(spans)
    count = known.sum(axis=1)
    total = np.where(known, spans, 0.0).sum(axis=1)
    enough = count >= LEAST * spans.shape[1]
    found: Floats = np.divide(
        total, count, out=np.full(len(spans), np.nan), where=enough & (count > 0)
    )
    return found
