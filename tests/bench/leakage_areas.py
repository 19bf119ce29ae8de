"""Ten real supply areas (BWDF 2024) through the leakage pilot, with leaks added to their flow."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from services.analytics import local_time
from services.analytics.methods import night_flow
from services.analytics.pilots.leakage import leaks, params
from services.analytics.pilots.leakage.params import NIGHT
from tests.bench import leakage_site
from tests.bench.leakage_score import DAY, MONTH
from tests.bench.leakage_site import Floats, Meter

ZONE: Final = "Europe/Rome"
WARM_UP: Final = 59  # days: January and February 2021
ONSETS: Final = 10  # an area
RAMP: Final = 14 * DAY
WINDOW: Final = {"step": 3 * DAY, "ramp": 21 * DAY}
CELLS: Final = (("step", 0.1), ("step", 0.2), ("ramp", 0.1), ("ramp", 0.2))
# The reference's figures, March 2021 to November 2022: alarms a month, then each cell's hits.
BASELINES: Final = (
    ("LeakDB rule 20 %", 0.90, 0.49, 0.74, 0.53, 0.78, 32.0),
    ("night mean + CUSUM k=1 h=8", 0.25, 0.30, 0.51, 0.56, 0.70, 26.0),
    ("6 h residual to 4-week median", 0.18, 0.15, 0.43, 0.09, 0.21, 6.0),
    ("residual windows + night CUSUM", 0.41, 0.41, 0.61, 0.60, 0.76, 10.0),
    ("goal at 0.30", 0.30, 0.50, 0.75, None, 0.80, None),
)


class Area(NamedTuple):
    """hour (n,) s since 1970 and net inflow (n,) L/s of known hours; alarms: s since 1970."""

    key: str
    hour: Floats
    inflow: Floats
    alarms: list[float]


def run(folder: Path, since: float = 0.0) -> tuple[dict[str, Any], str]:
    """The figures and the table of them; what is before `since` (s) is not scored."""
    areas, seconds = _analysed(_meters(folder))
    start = max(min(area.hour[0] for area in areas) + WARM_UP * DAY, since)
    stop = max(area.hour[-1] for area in areas)
    clean = sum(at >= start for area in areas for at in area.alarms)
    figures: dict[str, Any] = {
        "data": "bwdf",
        "areas": len(areas),
        "onsets": ONSETS * len(areas),
        "clean_per_area_month": round(clean / len(areas) / ((stop - start) / MONTH), 3),
    }
    for form, share in CELLS:
        hits, by_chance = _injected(areas, form, share, start, stop - WINDOW[form])
        name = f"{form}_{share:.0%}".replace("%", "")
        figures[name] = round(len(hits) / figures["onsets"], 2)
        figures[f"{name}_chance"] = round(by_chance / figures["onsets"], 2)
        figures[f"{name}_delay_h"] = round(median(hits) / 3600, 1) if hits else None
    figures |= {"longest_slice_s": round(max(seconds), 2), "seconds": round(sum(seconds), 2)}
    return figures, _report(figures)


def _meters(folder: Path) -> list[Meter]:
    tables = [pq.read_table(file) for file in sorted(folder.glob("inflow_hourly_*.parquet"))]
    time = np.concatenate(
        [np.array(table["ts_utc"]).astype("datetime64[s]").astype(np.float64) for table in tables]
    )
    names = [name for name in tables[0].column_names if name.endswith("_ls")]
    return [
        Meter(
            name.removesuffix("_ls").replace("_", "-"),
            "flow",
            time,
            np.concatenate([table[name].to_numpy().astype(np.float64) for table in tables]),
        )
        for name in names
    ]


def _analysed(meters: Sequence[Meter]) -> tuple[list[Area], list[float]]:
    stated = {"areas": {meter.key: {"inflows": [meter.key]} for meter in meters}}
    with leakage_site.database() as (settings, engine):
        file = leakage_site.site("bwdf", ZONE, 3600, meters, stated)
        leakage_site.fill(settings, engine, file, meters)
        seconds = leakage_site.analyse(engine)
        said = [each["evidence"] for each in leakage_site.found(engine)]
        areas = [
            Area(
                meter.key,
                *leakage_site.derived(engine, "net_inflow", meter.key),
                [
                    datetime.fromisoformat(each["detected_at"]).timestamp()
                    for each in said
                    if each["area"] == meter.key
                ],
            )
            for meter in meters
        ]
    return areas, seconds


def _injected(
    areas: Sequence[Area], form: str, share: float, start: float, stop: float
) -> tuple[list[float], int]:
    """Delays (s) of the leaks found in time, and how many the untouched series seem to find.

    Through the pilot's own judgement of nights, without the database: it is the same for each of
    the hundred onsets.
    """
    generator = np.random.default_rng(3)
    hits, by_chance = [], 0
    for area in areas:
        for onset in generator.uniform(start, stop, ONSETS):
            since = area.hour - onset
            rise = np.clip(since / RAMP, 0, 1) if form == "ramp" else (since >= 0).astype(float)
            until = onset + WINDOW[form]
            alarms = _alarms(area.hour, area.inflow + rise * share * area.inflow.mean(), until)
            inside = [at for at in alarms if onset <= at <= until]
            hits += [inside[0] - onset] if inside else []
            by_chance += any(onset <= at <= until for at in area.alarms)
    return hits, by_chance


def _alarms(hour: Floats, inflow: Floats, until: float) -> list[float]:
    """When each leak is found, from hours up to `until`: s since 1970."""
    first, last = (
        local_time.local_date(local_time.at(moment), ZONE) for moment in (hour[0], until)
    )
    edges = local_time.hours(first, last + timedelta(days=1), ZONE)
    grid = np.full(len(edges), np.nan)
    known = hour <= until
    grid[np.searchsorted(edges, hour[known])] = inflow[known]
    days = [first + timedelta(days=day) for day in range((last - first).days + 1)]
    begin, end = ([leaks.at_hour(day, at, ZONE).timestamp() for day in days] for at in NIGHT)
    nights = night_flow.means(grid, *(np.searchsorted(edges, each) for each in (begin, end)))
    area = params.Area("", (), (), (), NIGHT, ())
    found = leaks.leaks(leaks.Nights(first, nights, ZONE, NIGHT), area)
    return [datetime.fromisoformat(each.evidence["detected_at"]).timestamp() for each in found]


def _report(figures: dict[str, Any]) -> str:
    cells = ("clean_per_area_month", "step_10", "step_20", "ramp_10", "ramp_20", "step_20_delay_h")
    own = ("this pilot kind, the data of the folder", *(figures[cell] for cell in cells))
    lines = [
        "| detector | clean/area-month | step 10 % | 20 % | ramp 10 % | 20 % | step 20 %: h |",
        "|---|---|---|---|---|---|---|",
        *(
            "| " + " | ".join("-" if x is None else str(x) for x in row) + " |"
            for row in (*BASELINES, own)
        ),
    ]
    return "".join(f"{line}\n" for line in lines)
