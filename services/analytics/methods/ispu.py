"""ISPU, Indonesia's air pollutant standard index: 24-hour means → index → category.

Source: Permen LHK P.14/MENLHK/SETJEN/KUM.1/7/2020, annex. Two public implementations use other
limits of sulfur dioxide (185 and 304 in place of 180 and 400).
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SOURCE: Final = "Permen LHK P.14/2020"
BOUNDS: Final = (0.0, 50.0, 100.0, 200.0, 300.0, 500.0)
# ug/m3 at each of BOUNDS. The regulation leaves the top open: here the index ends at 500.
CONCENTRATIONS: Final[Mapping[str, tuple[float, ...]]] = {
    "pm10": (0, 50, 150, 350, 420, 500),
    "pm2_5": (0, 15.5, 55.4, 150.4, 250.4, 500),
    "sulfur_dioxide": (0, 52, 180, 400, 800, 1200),
    "carbon_monoxide": (0, 4000, 8000, 15000, 30000, 45000),
    "ozone": (0, 120, 235, 400, 800, 1000),
    "nitrogen_dioxide": (0, 80, 200, 1130, 2260, 3000),
    "hydrocarbons": (0, 45, 100, 215, 432, 648),
}
CATEGORIES: Final = ("good", "moderate", "unhealthy", "very unhealthy", "hazardous")
FROM: Final = (51.0, 101.0, 201.0, 301.0)  # lowest rounded index of each category but the first


def index(pollutant: str, mean: Floats) -> Floats:
    """The index of 24-hour means, not yet rounded. mean (n,) ug/m3, NaN where there is none.

    Linear between the bounds 0, 50, 100, 200, 300 and 500; 500 from there on. Raises KeyError for
    a pollutant without limits.
    """
    found: Floats = np.interp(mean, CONCENTRATIONS[pollutant], BOUNDS)
    return found


def rounded(values: Floats) -> Floats:
    """Half up, as the index is published: rounded once, at the end."""
    halved: Floats = np.floor(values + 0.5)
    return halved


def category(value: float) -> str:
    """The category of a rounded index."""
    return CATEGORIES[int(np.searchsorted(FROM, value, side="right"))]
