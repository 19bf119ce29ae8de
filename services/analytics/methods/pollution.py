"""Pollution index of water: each parameter against its limit, then worst and mean together.

Source: KepMenLH 115/2003, annex II. The index depends on which parameters are in it: the same
river scores half as much with 8 of them as with 15, so the list belongs to every value.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SOURCE: Final = "KepMenLH 115/2003 annex II"
CLASSES: Final = ("meets the standard", "lightly polluted", "polluted", "heavily polluted")
UP_TO: Final = (1.0, 5.0, 10.0)  # highest index of each class but the last


def saturation(temperature: Floats, salinity: Floats) -> Floats:
    """Dissolved oxygen (mg/L) of water in balance with moist air at sea level.

    temperature (n,) Cel, salinity (n,) PSU. Source: Benson and Krause 1984, as in Standard
    Methods 4500-O; 25 Cel in fresh water gives 8.263.
    """
    t = temperature + 273.15
    fresh = (
        -139.34411 + 1.575701e5 / t - 6.642308e7 / t**2 + 1.243800e10 / t**3 - 8.621949e11 / t**4
    )
    salt = salinity * (1.7674e-2 - 10.754 / t + 2140.7 / t**2)
    found: Floats = np.exp(fresh - salt)
    return found


def most(value: Floats, limit: float) -> Floats:
    """Ratio of a parameter that pollutes as it rises: 1 at its limit."""
    return value / limit


def least(value: Floats, limit: float, saturated: Floats) -> Floats:
    """Ratio of a parameter that pollutes as it falls: 1 at its limit, 0 when saturated or above.

    NaN where the saturated water itself would not meet the limit.
    """
    room = saturated - limit
    ratio = np.divide(saturated - value, room, out=np.full(len(value), np.nan), where=room > 0)
    found: Floats = np.maximum(ratio, 0.0)  # keeps NaN
    return found


def between(value: Floats, low: float, high: float) -> Floats:
    """Ratio of a parameter that must stay in a range: 0 in its middle, 1 at either end."""
    found: Floats = np.abs(value - (low + high) / 2) / ((high - low) / 2)
    return found


def index(ratios: Floats) -> Floats:
    """Index (n,) of ratios (parameters, n); NaN where one of them is.

    A ratio above 1 counts as 1 + 5 log10 of it.
    """
    counted = np.where(ratios > 1, 1 + 5 * np.log10(np.maximum(ratios, 1)), ratios)
    found: Floats = np.sqrt((counted.max(axis=0) ** 2 + counted.mean(axis=0) ** 2) / 2)
    return found


def category(value: float) -> str:
    """The class of an index: up to 1, 5, 10 or above."""
    return CLASSES[int(np.searchsorted(UP_TO, value, side="left"))]
