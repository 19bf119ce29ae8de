"""Caltech's charging bays (ACN-Data): stays from 0 and 1 of each bay, beside the reference."""

from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.parquet as pq
from sqlalchemy import Engine, text

from services.analytics import series
from services.analytics.methods import parking
from services.analytics.methods.parking import Spans, Stays
from tests.bench import parking_site
from tests.bench.parking_site import Line, Meter

ZONE: Final = "America/Los_Angeles"
LIMIT_MIN: Final = 120.0
PARAMS: Final = {"limit_min": LIMIT_MIN, "merge_s": 0, "min_stay_s": 0}
GRACE_S: Final = 15 * 60
# Of the file December 2020 to June 2021, and of June in it; None: to be computed for another file.
REFERENCE: Final = {
    "stays": 1896,
    "mean_stay_h": 2.706,
    "median_stay_h": 1.196,
    "p95_stay_h": 8.98,
    "overstay_share": 0.2104,
    "overstay_over_15_min_share": 0.1936,
    "median_overstay_min": 171.6,
    "peak_simultaneous": 10,
    "arrivals": 437,
    "occupied_bay_hours": 1169.6,
    "occupancy_pct": 4.061,
    "turnover_per_bay_day": 0.3642,
    "mean_stay_h_of_arrivals": 2.676,
}
Row = dict[str, Any]


def caltech(file: Path) -> tuple[dict[str, Any], str]:
    """The figures of one file of stays and the table of them."""
    rows = pq.read_table(file).to_pylist()
    meters, moved = _meters(rows)
    month = _midnight(max(row["arrival"] for row in rows)).replace(day=1)
    with parking_site.database() as (settings, engine):
        file_of_site = parking_site.site(ZONE, meters, None, PARAMS)
        parking_site.fill(settings, engine, file_of_site, meters)
        longest = parking_site.analyse(engine)
        stays = _stays(engine, noise_s=0.0)
        figures = _figures(rows, stays) | _month(engine, stays, month, len(meters))
        figures["overstays_of_120_min"] = len(parking_site.findings(engine, "overstay"))
        figures["stays_less_noise"] = sum(len(s.start) for s in _stays(engine, 60.0).values())
    in_file = sum(row["departure"] - row["arrival"] > timedelta(minutes=LIMIT_MIN) for row in rows)
    figures |= {"stays_over_120_min_in_file": in_file, "longest_slice_s": round(longest, 2)}
    known = REFERENCE if len(rows) == REFERENCE["stays"] else {}
    lines: list[Line] = [(name, figures[name], known.get(name, "")) for name in REFERENCE]
    lines.append(("findings: stays over 120 min", figures["overstays_of_120_min"], in_file))
    notes = (
        f"arrivals to turnover_per_bay_day: {month:%B %Y}, {len(meters)} bays, from what the pilot"
        " derived;",
        "overstay: against the departure each driver declared, which no bay sensor knows;",
        f"{moved} arrival(s) at the very second of a departure moved by 1 s; params {PARAMS};",
        f"with the default noise rules (60 s) {figures['stays_less_noise']} stays remain.",
    )
    return figures, parking_site.report(f"{file.name}: single bays", lines, notes)


def _meters(rows: list[Row]) -> tuple[list[Meter], int]:
    """What a sensor would have sent: each arrival and departure, and a sign of life before the
    first and after the last day."""
    installed = _midnight(min(row["arrival"] for row in rows)).timestamp()
    last = _midnight(max(row["departure"] for row in rows)) + timedelta(days=1)
    by_bay: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_bay[row["bay"]].append(row)
    meters, moved = [], 0
    for bay, own in sorted(by_bay.items()):
        states = {installed: 0.0, last.timestamp(): 0.0}
        states |= {row["departure"].timestamp(): 0.0 for row in own}
        for row in own:
            at = row["arrival"].timestamp()
            moved += at in states
            states[at + 1 if at in states else at] = 1.0
        time = sorted(states)
        values = np.array([states[at] for at in time])
        meters.append(Meter(bay.replace("_", "-"), "bay_occupied", np.array(time), values))
    return meters, moved


def _midnight(moment: datetime) -> datetime:
    """When its local day began."""
    local = moment.astimezone(ZoneInfo(ZONE))
    return local.replace(hour=0, minute=0, second=0, microsecond=0)


def _stays(engine: Engine, noise_s: float) -> dict[str, Stays]:
    """The stays of each bay by the pilot's own rule, from the readings as stored."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("""SELECT datastream.id, key FROM datastream JOIN device ON device.id = device_id
                    WHERE property = 'bay_occupied'""")
        ).all()
        beginning = datetime(1970, 1, 2, tzinfo=ZoneInfo("UTC"))
        readings = series.usable(connection, {row.id: beginning for row in rows})
    until = max(own.time[-1] for own in readings.values())
    return {
        row.key: parking.stays(
            readings[row.id].time,
            readings[row.id].value >= 0.5,
            until=until,
            hold=np.inf,
            merge=noise_s,
            shortest=noise_s,
        )
        for row in rows
    }


def _figures(rows: list[Row], stays: dict[str, Stays]) -> dict[str, Any]:
    length = np.concatenate([own.stop - own.start for own in stays.values()])
    left = {
        (bay, start): stop
        for bay, own in stays.items()
        for start, stop in zip(own.start.tolist(), own.stop.tolist(), strict=True)
    }
    over = []
    for row in rows:
        place = row["bay"].replace("_", "-"), row["arrival"].timestamp()
        stop = left.get(place) or left[place[0], place[1] + 1]
        if row["declared_departure"] is not None:
            over.append(stop - row["declared_departure"].timestamp())
    late = np.array(over)
    spans = [Spans(s.start, s.stop - s.start, np.ones(len(s.start))) for s in stays.values()]
    return {
        "stays": len(length),
        "mean_stay_h": round(float(length.mean()) / 3600, 3),
        "median_stay_h": round(float(np.median(length)) / 3600, 3),
        "p95_stay_h": round(float(np.percentile(length, 95)) / 3600, 2),
        "overstay_share": round(float((late > 0).mean()), 4),
        "overstay_over_15_min_share": round(float((late > GRACE_S).mean()), 4),
        "median_overstay_min": round(float(np.median(late[late > 0])) / 60, 1),
        "peak_simultaneous": int(parking.together(spans)[1].max()),
    }


def _month(engine: Engine, stays: dict[str, Stays], month: datetime, bays: int) -> dict[str, Any]:
    """The last month of the file from the derived series."""
    past = (month + timedelta(days=32)).replace(day=1)
    values = {
        name: np.concatenate(
            [own[1] for own in parking_site.derived(engine, name, "all", month, past).values()]
        )
        for name in ("parking_occupancy", "parking_arrivals", "parking_turnover")
    }
    begun = np.concatenate([own.start for own in stays.values()])
    length = np.concatenate([own.stop - own.start for own in stays.values()])
    own = length[(begun >= month.timestamp()) & (begun < past.timestamp())]
    return {
        "arrivals": int(values["parking_arrivals"].sum()),
        "occupied_bay_hours": round(float(values["parking_occupancy"].sum()) / 100 * bays, 1),
        "occupancy_pct": round(float(values["parking_occupancy"].mean()), 3),
        "turnover_per_bay_day": round(float(values["parking_turnover"].mean()), 4),
        "mean_stay_h_of_arrivals": round(float(own.mean()) / 3600, 3),
    }
