"""Warning levels with limits that are crossed at once upwards and reluctantly downwards."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def levels(value: Floats, limits: Floats, margin: float) -> NDArray[np.int8]:
    """The warning level after each reading: 0 below every limit … k at or above the k-th.

    value (n,) in time order; limits (n, k) ascending, in the unit of `value`, valid at each
    reading, NaN where unknown (that level cannot be reached); margin ≥ 0 in the same unit.
    Level j is entered at value ≥ limit j and left after two readings in succession below
    limit j - margin. Before the first reading the level is 0.
    Source: Jakarta's siaga states take their lower bound as reached at "≥"; leaving late is our
    recommendation, not found in regulation.
    """
    reached = np.zeros(len(value), dtype=np.int8)
    for rank in range(limits.shape[1]):
        on = _latched(value, limits[:, rank], margin)
        reached[on] = rank + 1
    return reached


def beyond(value: Floats, limit: float, margin: float) -> NDArray[np.bool_]:
    """Whether each reading finds the value beyond a limit, as one rule says it.

    value (n,) in time order; beyond begins at value > limit and ends at value ≤ limit - margin,
    in between it stays as it was; before the first reading it is not. To watch for values below
    a limit, pass all with the opposite sign.
    """
    entered = value > limit
    return _held(entered, entered | (value <= limit - margin))


def _latched(value: Floats, limit: Floats, margin: float) -> NDArray[np.bool_]:
    entered = value >= limit  # false where the limit is NaN
    below = ~(value >= limit - margin)
    left = below & np.concatenate(([False], below[:-1])) | np.isnan(limit)
    return _held(entered, entered | left)


def _held(on: NDArray[np.bool_], decided: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`on` where it is decided, else as at the last decision; false before the first."""
    place = np.where(decided, np.arange(len(on)), -1)
    last = np.maximum.accumulate(place) if len(on) else place
    return (last >= 0) & on[last]
