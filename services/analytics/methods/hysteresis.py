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


def _latched(value: Floats, limit: Floats, margin: float) -> NDArray[np.bool_]:
    entered = value >= limit  # false where the limit is NaN
    below = ~(value >= limit - margin)
    left = below & np.concatenate(([False], below[:-1])) | np.isnan(limit)
    decided = np.where(entered | left, np.arange(len(value)), -1)
    last = np.maximum.accumulate(decided) if len(value) else decided
    return (last >= 0) & entered[last]
