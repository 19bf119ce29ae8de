"""The shipped recordings, read without the product's own reader."""

import csv
import gzip
from datetime import datetime
from pathlib import Path
from typing import Final

import simulators

DATA: Final = Path(simulators.__file__).parent / "data"
FILES: Final = ("calder_valley.csv.gz", "birmingham_car_parks.csv.gz", "bwdf_area_e.csv.gz")


def shipped(name: str) -> dict[tuple[str, str, datetime], float]:
    """(device, property, recorded time) → value."""
    found = {}
    with gzip.open(DATA / name, "rt", newline="") as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row["time"])
            if "area" in row:
                found[row["area"].replace("_", "-"), "flow", at] = float(row["inflow_ls"])
            elif "station" in row:
                prop = {"level_m": "water_level", "rain_mm": "rainfall"}[row["quantity"]]
                found[row["station"], prop, at] = float(row["value"])
            else:
                device = row["car_park"].lower().replace(" ", "-")
                found[device, "parking_occupied", at] = float(row["occupancy"])
    return found
