"""Official daily ISPU of Jakarta, and hourly pollutants of Beijing, through the air index."""

from collections import defaultdict
from datetime import UTC, date, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from services.analytics import local_time
from services.analytics.methods import ispu
from services.analytics.pilots.environment import air
from services.analytics.series import Derived, Series

JAKARTA: Final = "Asia/Jakarta"
BEIJING: Final = "Asia/Shanghai"
COLUMNS: Final = {
    "pm10": "pm10",
    "pm25": "pm2_5",
    "so2": "sulfur_dioxide",
    "co": "carbon_monoxide",
    "o3": "ozone",
    "no2": "nitrogen_dioxide",
}
CATEGORIES: Final = {
    "BAIK": "good",
    "SEDANG": "moderate",
    "TIDAK SEHAT": "unhealthy",
    "SANGAT TIDAK SEHAT": "very unhealthy",
    "BERBAHAYA": "hazardous",
}
CRITICAL: Final = {
    **{"PM10": "pm10", "PM25": "pm2_5", "SO2": "sulfur_dioxide", "CO": "carbon_monoxide"},
    **{"O3": "ozone", "NO2": "nitrogen_dioxide"},
}
# Development and later part together, 7,548 station-days, as the reference counts them.
REFERENCE: Final = {"max": 0.996, "category": 0.997, "critical": 0.993}
Day = dict[str, Any]


def jakarta(path: Path) -> dict[str, Any]:
    """Sub-indices turned into the concentrations they stand for, hour by hour, and back again."""
    stations: dict[str, dict[date, Day]] = defaultdict(dict)
    for row in pq.read_table(path).to_pylist():
        if row["max"] and any(row[name] is not None for name in COLUMNS):
            stations[row["station_raw"][:4]][row["date"].date()] = row
    agrees: dict[str, list[bool]] = defaultdict(list)
    unlike: list[str] = []
    began = perf_counter()
    for station, days in sorted(stations.items()):
        found = air.derive(_readings(days), min(days), JAKARTA, np.inf)
        totals = _by_day(found[air.TOTAL_DAILY, ""])
        each = {name: _by_day(found[air.EACH_DAILY, name]) for name in COLUMNS.values()}
        for day, row in days.items():
            own = {name: value[day] for name, value in each.items() if day in value}
            same = _compare(row, totals.get(day), own)
            for name, agreed in same.items():
                agrees[name].append(agreed)
            if same["max"] != same["max_of_stated"] and len(unlike) < 5:
                unlike.append(f"{station} {day}: {row['max']:g} {row['critical_raw']}, {own}")
    return {
        "station_days": len(agrees["max"]),
        "seconds": round(perf_counter() - began, 1),
        "agreement": {name: round(float(np.mean(hits)), 4) for name, hits in agrees.items()},
        "compared": {name: len(hits) for name, hits in agrees.items()},
        "reference": REFERENCE,
        "differ_from_the_maximum_of_what_is_stated": unlike,
    }


def _readings(days: dict[date, Day]) -> dict[str, Series]:
    readings = {}
    for column, name in COLUMNS.items():
        known = sorted(day for day, row in days.items() if row[column] is not None)
        starts = np.array([local_time.midnight(day, JAKARTA).timestamp() for day in known])
        index = np.array([days[day][column] for day in known], dtype=float)
        mean = np.interp(index, ispu.BOUNDS, ispu.CONCENTRATIONS[name])
        time = (starts[:, None] + 3600 * (np.arange(24) + 0.5)).ravel()
        readings[name] = Series(time, np.repeat(mean, 24))
    return readings


def _compare(row: Day, total: float | None, own: dict[str, float]) -> dict[str, bool]:
    stated = max(row[name] for name in COLUMNS if row[name] is not None)
    same = {"max": total == row["max"], "max_of_stated": stated == row["max"]}
    if row["category"] in CATEGORIES:
        same["category"] = CATEGORIES[row["category"]] == ispu.category(total or 0)
    if row["critical_raw"] in CRITICAL:  # numbers and dashes stand there too
        same["critical"] = own.get(CRITICAL[row["critical_raw"]]) == max(own.values())
    return same


def _by_day(derived: list[Derived]) -> dict[date, float]:
    return {local_time.local_date(each.time, JAKARTA): each.value for each in derived}


def beijing(path: Path) -> dict[str, Any]:
    """How much of real hourly data with gaps has an index, and the findings it gives."""
    table = pq.read_table(path)
    stations = np.array(table["station"].to_pylist())
    time = np.array([moment.timestamp() for moment in table["time"].to_pylist()])
    figures = {}
    for station in sorted(set(stations)):
        own = stations == station
        readings = {}
        for column, name in COLUMNS.items():
            value = np.array(table[column].to_pylist(), dtype=float)[own]
            known = ~np.isnan(value)
            readings[name] = Series(time[own][known] + 1800, value[known])
        began = perf_counter()
        first = local_time.local_date(datetime.fromtimestamp(time[own][0], UTC), BEIJING)
        found = air.derive(readings, first, BEIJING, np.inf)
        each = {name: _series(found[air.EACH, name]) for name in readings}
        episodes = air.judge(each, 5)
        days = round((time[own][-1] - time[own][0]) / 86_400)
        figures[station] = {
            "days": days,
            "missing_hours": {
                n: round(1 - len(s.time) / own.sum(), 3) for n, s in readings.items()
            },
            "days_with_index": len(found[air.TOTAL_DAILY, ""]),
            "findings": len(episodes),
            "unhealthy_days": sum(each.value > 100 for each in found[air.TOTAL_DAILY, ""]),
            "seconds": round(perf_counter() - began, 1),
        }
    return figures


def _series(derived: list[Derived]) -> Series:
    return Series(
        np.array([each.time.timestamp() for each in derived]),
        np.array([each.value for each in derived]),
    )
