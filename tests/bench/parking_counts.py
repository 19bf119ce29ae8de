"""Counted car parks of Birmingham and Germany: occupancy by the pilot, and what it would take to
forecast it. The pilot does not forecast yet; persistence is shown to place the figures."""

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.parquet as pq

from tests.bench import parking_site
from tests.bench.parking_site import Floats, Line, Meter

SLOT_S: Final = 1800.0
FULL_PCT: Final = 90.0
# Lead in minutes → mean absolute error of the occupancy rate: persistence, persist + profile.
BIRMINGHAM: Final = {
    30: (0.0399, 0.0133),
    60: (0.0769, 0.0215),
    120: (0.1418, 0.0355),
    1440: (0.0834, 0.0424),
}
GERMANY: Final = {30: (0.0299, 0.0188), 60: (0.0568, 0.0313), 1440: (0.1275, 0.0808)}
Parks = dict[str, tuple[Floats, Floats, float]]  # time s, vehicles, capacity


def birmingham(file: Path) -> tuple[dict[str, Any], str]:
    """Counts about every half hour, 08:00-16:30; test from 5 December 2016 on."""
    table = pq.read_table(file)
    parks = _parks(table, "car_park", np.array(table["occupancy"]), np.array(table["capacity"]))
    test = datetime(2016, 12, 5, tzinfo=ZoneInfo("Europe/London"))
    return _run(file, "Europe/London", parks, 90.0, test, BIRMINGHAM)


def germany(file: Path) -> tuple[dict[str, Any], str]:
    """Free spaces when they change; no row means no change or an outage: held for three hours."""
    meta = next(iter(sorted(file.parent.glob("*germany*meta.csv"))), None)
    if meta is None:
        raise SystemExit(f"{file.parent}: holds no *germany*meta.csv with the capacities")
    with meta.open(newline="") as lines:
        capacity = {row["place_id"]: float(row["capacity"]) for row in csv.DictReader(lines)}
    table = pq.read_table(file)
    most = np.array([capacity[name] for name in table["garage"].to_pylist()])
    parks = _parks(table, "garage", most - np.array(table["free"]), most)
    last = datetime.fromtimestamp(max(own[0][-1] for own in parks.values()), UTC)
    test = datetime(last.year, 10, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    return _run(file, "Europe/Berlin", parks, 180.0, test, GERMANY)


def _parks(table: Any, column: str, vehicles: Floats, capacity: Floats) -> Parks:
    """Ascending and distinct times by car park; the file repeats some rows."""
    time = np.array(table["time"]).astype("datetime64[ms]").astype(np.float64) / 1000
    names = np.array(table[column].to_pylist())
    parks: Parks = {}
    for number, name in enumerate(sorted(set(names.tolist())), start=1):
        own = names == name
        at, place = np.unique(time[own], return_index=True)
        counted = vehicles[own][place].astype(np.float64)
        parks[f"park-{number:02}"] = at, counted, float(capacity[own][0])
    return parks


def _run(
    file: Path,
    zone: str,
    parks: Parks,
    hold_min: float,
    test: datetime,
    reference: dict[int, tuple[float, float]],
) -> tuple[dict[str, Any], str]:
    meters = [Meter(key, "parking_occupied", at, n) for key, (at, n, _) in parks.items()]
    params = {"capacity": {key: most for key, (_, _, most) in parks.items()}, "hold_min": hold_min}
    with parking_site.database() as (settings, engine):
        parking_site.fill(settings, engine, parking_site.site(zone, meters, None, params), meters)
        longest = parking_site.analyse(engine)
        hourly = parking_site.derived(engine, "parking_occupancy", "")
    pct = np.concatenate([values for _, values, _ in hourly.values()])
    quality = np.concatenate([flags for _, _, flags in hourly.values()])
    figures: dict[str, Any] = {
        "car_parks": len(hourly),
        "readings": sum(len(at) for at, _, _ in parks.values()),
        "hours": len(pct),
        "hours_suspect": int((quality == 3).sum()),
        "mean_occupancy_pct": round(float(pct.mean()), 2),
        "hours_at_90_pct": int((pct >= FULL_PCT).sum()),
        "hourly_error": _hourly_error(hourly, parks, hold_min * 60),
        "longest_slice_s": round(longest, 2),
    }
    lines: list[Line] = [(name, value, "") for name, value in figures.items()]
    for lead, (last_value, profile) in reference.items():
        name = f"persistence_mae_{lead}_min"
        figures[name] = _persistence(parks, lead * 60 / SLOT_S, test.timestamp())
        lines.append((name, figures[name], last_value))
        lines.append((f"persist + profile, {lead} min", "no forecast", profile))
    notes = (
        f"hold {hold_min:g} min; an hour of which less than 3/4 is known, or with more vehicles"
        " than spaces, is suspect;",
        "hourly_error: largest difference from the same hours computed by a plain loop, in points;",
        f"persistence from {test:%Y-%m-%d}, counts at the nearest half hour, rate cut at 1: the"
        " reference does not say how it slots.",
    )
    return figures, parking_site.report(f"{file.name}: counted car parks", lines, notes)


def _hourly_error(hourly: dict[str, Any], parks: Parks, hold: float) -> float:
    """Every 97th derived hour beside the time-weighted mean of its counts, reading by reading."""
    worst = 0.0
    for key, (hours, values, _) in hourly.items():
        at, vehicles, most = parks[key]
        for hour, value in list(zip(hours.tolist(), values.tolist(), strict=True))[::97]:
            seconds = total = 0.0
            first = max(int(np.searchsorted(at, hour)) - 1, 0)
            for i in range(first, len(at)):
                if at[i] >= hour + 3600:
                    break
                stop = min(at[i] + hold, at[i + 1] if i + 1 < len(at) else np.inf, hour + 3600)
                inside = max(0.0, stop - max(at[i], hour))
                seconds, total = seconds + inside, total + inside * vehicles[i]
            worst = max(worst, abs(value - 100 * total / seconds / most))
    return round(worst, 6)


def _persistence(parks: Parks, lead: float, test: float) -> float:
    """Mean absolute error of the rate, 0-1, when the last value is the forecast."""
    errors = []
    for at, vehicles, most in parks.values():
        slots = dict(
            zip(
                np.rint(at / SLOT_S).tolist(),
                np.minimum(vehicles / most, 1.0).tolist(),
                strict=True,
            )
        )
        errors += [
            abs(rate - slots[slot - lead])
            for slot, rate in slots.items()
            if slot * SLOT_S >= test and slot - lead in slots
        ]
    return round(float(np.mean(errors)), 4)
