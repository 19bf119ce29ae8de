"""Limits of water quality: data with the day they are in force from and who says so.

Shipped are only those read in a source. PP 22/2021 annex VI, class II: confirmed by the limits the
Jakarta agency prints beside its samples of 2024; annex VIII, marine biota: the published annex.
Classes I, III and IV are known to us by hearsay only: a site states them itself.
"""

from collections.abc import Mapping
from typing import Any, Final

# Canonical unit of each property; min, max or both.
TABLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "class-2": {
        "valid_from": "2021-02-02",
        "source": "PP 22/2021 annex VI, class II",
        "suspended_solids": {"max": 50},
        "dissolved_solids": {"max": 1000},
        "acidity": {"min": 6, "max": 9},
        "biochemical_oxygen_demand": {"max": 3},
        "chemical_oxygen_demand": {"max": 25},
        "dissolved_oxygen": {"min": 4},
        "nitrate": {"max": 10},
        "nitrite": {"max": 0.06},
        "ammonia": {"max": 0.2},
        "phosphorus": {"max": 0.2},
        "faecal_coliform": {"max": 1000},
        "total_coliform": {"max": 5000},
        "oil_and_grease": {"max": 1},
        "detergents": {"max": 0.2},
        "phenols": {"max": 0.005},
    },
    "marine-biota": {
        "valid_from": "2021-02-02",
        "source": "PP 22/2021 annex VIII, marine biota (coral, seagrass)",
        "water_temperature": {"min": 28, "max": 30},
        "acidity": {"min": 7, "max": 8.5},
        "salinity": {"min": 33, "max": 34},
        "dissolved_oxygen": {"min": 5},
        "biochemical_oxygen_demand": {"max": 20},
        "ammonia": {"max": 0.3},
        "nitrate": {"max": 0.06},
        "phenols": {"max": 0.002},
        "detergents": {"max": 1},
        "oil_and_grease": {"max": 1},
    },
}
PARAMETERS: Final = tuple(
    dict.fromkeys(
        name for table in TABLES.values() for name in table if name not in ("valid_from", "source")
    )
)
