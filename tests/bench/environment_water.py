"""Official river samples of Jakarta (2024) through the pollution index, beside the reference."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from services.analytics import local_time
from services.analytics.methods import pollution
from services.analytics.pilot import Pilot
from services.analytics.pilots.environment import settings, water
from services.analytics.series import Series

ZONE: Final = "Asia/Jakarta"
NAMES: Final = {
    "TSS": "suspended_solids",
    "TDS": "dissolved_solids",
    "pH": "acidity",
    "BOD": "biochemical_oxygen_demand",
    "COD": "chemical_oxygen_demand",
    "DO": "dissolved_oxygen",
    "Total P": "phosphorus",
    "Nitrat": "nitrate",
    "Nitrit": "nitrite",
    "Amoniak": "ammonia",
    "Total Coliform": "total_coliform",
    "Fecal Coliform": "faecal_coliform",
    "Minyak dan Lemak": "oil_and_grease",
    "MBAS": "detergents",
    "Fenol": "phenols",
}
EIGHT: Final = ("TSS", "BOD", "COD", "DO", "pH", "Amoniak", "Total P", "Nitrat")
SHARES: Final = (
    *("Total Coliform", "Fecal Coliform", "BOD", "Amoniak", "COD", "Total P", "DO", "TSS"),
)
REFERENCE: Final = {
    "CLW1 1 period 1": {"15": 5.190, "8": 2.997},
    "classes 15": {"polluted": 53, "heavily polluted": 17, "lightly polluted": 2},
    "classes 8": {"lightly polluted": 46, "polluted": 25, "meets the standard": 1},
    "share beyond": dict(zip(SHARES, (1.0, 0.97, 0.96, 0.93, 0.88, 0.81, 0.72, 0.38), strict=True)),
}


def jakarta(path: Path) -> dict[str, Any]:
    """Index and classes of the Ciliwung with 15 and with 8 parameters, oxygen saturated at 28 Cel
    as in the reference; shares of its samples beyond each limit; findings of the kind."""
    samples: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for row in pq.read_table(path).to_pylist():
        if row["river"] == "Ciliwung" and row["parameter"] in NAMES:
            key = row["point"], row["period"]
            samples[key][row["parameter"]] = float(row["result_raw"])
    figures: dict[str, Any] = {"samples": len(samples), "CLW1 1 period 1": {}}
    for size, names in (("15", tuple(NAMES)), ("8", EIGHT)):
        own = _settings([NAMES[name] for name in names])
        indices = {key: _index(said, own) for key, said in samples.items()}
        classes = Counter(pollution.category(index) for index in indices.values())
        figures["CLW1 1 period 1"][size] = round(indices["CLW1 1", "Periode 1"], 3)
        figures[f"classes {size}"] = dict(classes.most_common())
        figures[f"median {size}"] = round(float(np.median(list(indices.values()))), 1)
    own = _settings([NAMES[name] for name in EIGHT])
    beyond = {
        name: np.mean([_beyond(said, name, own) for said in samples.values()]) for name in SHARES
    }
    figures["share beyond"] = {name: round(float(share), 2) for name, share in beyond.items()}
    figures["reference"] = REFERENCE
    return figures


def _settings(parameters: list[str]) -> settings.Water:
    said = {"limits": "class-2", "temperature_c": 28, "parameters": parameters}
    return settings.read(Pilot(1, "jakarta/river", ZONE, "recorded", {"water": said})).water


def _derived(said: dict[str, float], own: settings.Water) -> dict[tuple[str, str], float]:
    """What one sample gives, by series."""
    at = datetime(2024, 2, 1, 3, tzinfo=UTC)
    readings = {
        NAMES[name]: Series(np.array([at.timestamp()]), np.array([value]))
        for name, value in said.items()
    }
    later = (at + timedelta(hours=2)).timestamp()
    day = local_time.local_date(at, ZONE)
    found = water.derive(readings, day, ZONE, own, later)
    return {part: derived[0].value for part, derived in found.items() if derived}


def _index(said: dict[str, float], own: settings.Water) -> float:
    return _derived(said, own)[water.INDEX, ""]


def _beyond(said: dict[str, float], name: str, own: settings.Water) -> bool:
    return _derived(said, own)[water.RATIO, NAMES[name]] > 1
