"""Net inflow of a supply area: what comes in, less what leaves, less what its tanks take up."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LITRES: Final = 1000.0  # in a m3


def hourly_means(time: Floats, value: Floats, edges: Floats, least: int) -> Floats:
    """Mean of the readings of each hour; NaN with fewer than `least` of them.

    time (n,) s ascending; value (n,); edges (m + 1,) s; returns (m,) in the unit of `value`. An
    hour that may not be over (no reading at or after its end) is NaN too.
    """
    at = np.searchsorted(time, edges)
    count = np.diff(at)
    # Each hour summed alone: differences of a running sum would depend on where it began.
    total = np.add.reduceat(np.append(value, 0.0), at)[:-1]
    known = (count >= least) & (at[1:] < len(time))
    return np.where(known, total / np.maximum(count, 1), np.nan)


def stored(time: Floats, level: Floats, edges: Floats, area_m2: float, reach_s: float) -> Floats:
    """Mean flow into a tank of upright walls over each hour, L/s; negative while it empties.

    time (n,) s ascending; level (n,) m; edges (m + 1,) s; returns (m,). The level at an edge lies
    on the line between the readings around it; NaN where either is more than reach_s away.
    """
    if not len(time):
        return np.full(len(edges) - 1, np.nan)
    after = np.searchsorted(time, edges)
    before = np.searchsorted(time, edges, side="right") - 1
    inside = (before >= 0) & (after < len(time))
    before, after = np.maximum(before, 0), np.minimum(after, len(time) - 1)
    near = (edges - time[before] <= reach_s) & (time[after] - edges <= reach_s)
    at_edge = np.where(inside & near, np.interp(edges, time, level), np.nan)
    return np.diff(at_edge) * area_m2 * LITRES / np.diff(edges)
