"""L-Town (BattLeDIM 2020) through the leakage pilot: what it finds beside what is known."""

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from services.analytics.methods import night_flow
from tests.bench import leakage_score, leakage_site
from tests.bench.leakage_score import Alarm, Leak
from tests.bench.leakage_site import Floats, Meter

TANK_M2: Final = 201.06  # T1: diameter 16 m
M3_H: Final = 3.6  # of a L/s
STEP_S: Final = 300.0
FIELDS: Final = {
    "p227": ("p227_m3h", "flow", 1 / M3_H),
    "p235": ("p235_m3h", "flow", 1 / M3_H),
    "pump-1": ("PUMP_1_m3h", "flow", 1 / M3_H),
    "t1": ("T1_level_m", "water_level", 1.0),
}
# The reference's figures of whole 2019, except as said; A+B alone where its text says so.
BASELINES: Final = (
    ("LeakDB rule 10 % on total inflow, 2019", "1/9", "1/10", 0.50, 0.75, 25, 5.5, 5),
    ("night mean, CUSUM k=0.5 h=8, A+B, 2019", "7/9", "10/10", 1.08, 3.25, 9.5, 4.6, 76),
    ("daily pattern regression, CUSUM, 2019", "7/9", "9/10", 1.08, 3.50, 30, 8.2, 72),
    ("pattern residual + slow level + tank, 2019", "9/9", "8/10", 0.33, 2.34, 2.6, 7.4, 94),
    ("goal, January to June 2019", "7/7", "3/3", 0.35, None, 6, None, None),
)


def run(folder: Path, since: float = 0.0) -> tuple[dict[str, Any], str]:
    """The figures and the table of them; leaks and alarms before `since` (s) are not scored.

    Raises OSError when the folder lacks a file.
    """
    meters = _meters(folder)
    start, stop = meters[0].time[0], meters[0].time[-1] + STEP_S
    leaks, repairs = _leaks(folder, start, stop)
    file = leakage_site.site("ltown", "UTC", int(STEP_S), meters, _params(repairs))
    with leakage_site.database() as (settings, engine):
        leakage_site.fill(settings, engine, file, meters)
        seconds = leakage_site.analyse(engine)
        found = leakage_site.found(engine)
        nights = leakage_site.derived(engine, "night_flow", "ab")
    alarms = [
        Alarm(
            datetime.fromisoformat(each["evidence"]["detected_at"]).timestamp(),
            each["evidence"]["area"],
        )
        for each in found
    ]
    scored = ([x for x in leaks if x.start >= since], [x for x in alarms if x.at >= since])
    figures = _figures(*scored, max(start, since), stop)
    figures |= _errors(folder, nights, found)
    figures["slices"] = len(seconds)
    figures["longest_slice_s"] = round(max(seconds), 2)
    figures["seconds"] = round(sum(seconds), 2)
    return figures, _report(figures, found)


def _meters(folder: Path) -> list[Meter]:
    """Every scada_5min_*.parquet of the folder, in the order of their names."""
    tables = [pq.read_table(file) for file in sorted(folder.glob("scada_5min_*.parquet"))]
    time = np.concatenate([_seconds(table["ts"]) for table in tables])
    return [
        Meter(key, name, time, np.concatenate([np.array(t[column]) for t in tables]) * factor)
        for key, (column, name, factor) in FIELDS.items()
    ]


def _seconds(column: Any) -> Floats:
    return np.array(column).astype("datetime64[s]").astype(np.float64)


def _params(repairs: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Area C from daily balances: a tick of the tank's level is 24 m3/h in five minutes."""
    return {
        "areas": {
            "ab": {"inflows": ["p227", "p235"], "outflows": ["pump-1"]},
            "c": {"inflows": ["pump-1"], "tanks": {"t1": TANK_M2}, "night": [0, 24]},
        },
        "repairs": list(repairs),
    }


def _leaks(folder: Path, start: float, stop: float) -> tuple[list[Leak], list[dict[str, str]]]:
    """Leaks that begin in the recorded time, and every repair in it: known to an operator."""
    flows = _lost(folder)
    rows = {row["link_id"]: row for f in sorted(folder.glob("leaks_*.csv")) for row in _rows(f)}
    leaks, repairs = [], []
    for key, row in rows.items():
        area = "c" if row["area"] == "C" else "ab"
        mended = _at(row["repaired_at"]) if row["repaired_at"] else np.inf
        if start <= mended < stop:
            repairs.append({"area": area, "at": row["repaired_at"] + "+00:00"})
        if start <= _at(row["start"]) < stop:
            end = min(mended, stop)
            leaks.append(Leak(key, row["type"], area, _at(row["start"]), end, flows.get(key, {})))
    return leaks, repairs


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def _at(stated: str) -> float:
    return datetime.fromisoformat(stated).replace(tzinfo=UTC).timestamp()


def _lost(folder: Path) -> dict[str, dict[float, float]]:
    """m3 lost in each step, by leak."""
    lost: dict[str, dict[float, float]] = {}
    for file in sorted(folder.glob("leak_flow_5min_*.parquet")):
        table = pq.read_table(file)
        time = _seconds(table["ts"])
        for name in table.column_names:
            if name != "ts":
                volume = np.array(table[name]) * STEP_S / 3600
                own = lost.setdefault(name.removesuffix("_m3h"), {})
                own.update({t: v for t, v in zip(time.tolist(), volume.tolist(), strict=True) if v})
    return lost


def _figures(
    leaks: Sequence[Leak], alarms: Sequence[Alarm], start: float, stop: float
) -> dict[str, Any]:
    scored = leakage_score.score(leaks, alarms)
    months = (stop - start) / leakage_score.MONTH
    figures: dict[str, Any] = {"data": "ltown"}
    for kind in ("abrupt", "incipient"):
        own = [each.key for each in leaks if each.type == kind]
        delays = [scored.delays[key] for key in own if key in scored.delays]
        figures |= {
            kind: len(own),
            f"{kind}_found": len(delays),
            f"{kind}_delay_h": leakage_score.middle(delays),
        }
        if kind == "abrupt":
            figures["abrupt_found_24h"] = sum(delay <= 24 for delay in delays)
    return figures | {
        "missed": sorted({each.key for each in leaks} - scored.delays.keys()),
        "alarms_per_month": round(len(alarms) / months, 2),
        "false_per_month": round(scored.false / months, 2),
        "repeats": scored.repeats,
        "volume_share": round(scored.volume, 3),
        "eur": round(scored.eur),
        "eur_ideal": round(leakage_score.TARIFF * sum(each.lost_after(0) for each in leaks)),
        "found_share": round(len(scored.delays) / len(leaks), 3),
        "chance_share": round(leakage_score.chance(leaks, alarms, start, stop), 3),
    }


def _errors(folder: Path, nights: tuple[Floats, Floats], found: Sequence[Any]) -> dict[str, float]:
    """Mean errors, m3/h, of the change of total leak flow in A and B since the first 14 days.

    Truth is daily means; told by the night flow less its weekday's habit, and by the flows of the
    leaks that were found and not yet ended on a day.
    """
    days = nights[0]
    truth = np.zeros(len(days))
    areas = {row["link_id"]: row["area"] for f in folder.glob("leaks_*.csv") for row in _rows(f)}
    for key, lost in _lost(folder).items():
        if areas[key] != "C":
            day = np.searchsorted(days, np.array([*lost]), side="right") - 1
            np.add.at(truth, day, np.array([*lost.values()]) / 24)
    habit = [night_flow.usual(nights[1].tolist(), day) for day in range(len(days))]
    flow = (nights[1] - np.array(habit, dtype=np.float64)) * M3_H
    told = np.zeros(len(days))
    for each in found:
        if each["evidence"]["area"] == "ab":
            begun = datetime.fromisoformat(each["evidence"]["detected_at"]).timestamp()
            ended = each["ended_at"].timestamp() if each["ended_at"] else np.inf
            told[(days + leakage_score.DAY > begun) & (days < ended)] += (
                each["evidence"]["flow_l_s"] * M3_H
            )
    first = night_flow.LEARN

    def error(estimate: Floats) -> float:
        changes = (each - each[:first].mean() for each in (estimate, truth))
        return round(float(np.abs(np.subtract(*changes))[first:].mean()), 2)

    return {"night_flow_mae_m3_h": error(flow), "open_leaks_mae_m3_h": error(told)}


def _report(figures: dict[str, Any], found: Sequence[Any]) -> str:
    slow = figures["incipient_delay_h"]
    rows = [
        *BASELINES,
        (
            "this pilot kind, the data of the folder",
            f"{figures['abrupt_found']}/{figures['abrupt']}",
            f"{figures['incipient_found']}/{figures['incipient']}",
            figures["false_per_month"],
            figures["alarms_per_month"],
            figures["abrupt_delay_h"],
            slow / 24 if slow else None,
            figures["volume_share"] * 100,
        ),
    ]
    lines = [
        *(_finding(each) for each in found),
        "| detector | abrupt | incip. | false/month | alarms/month | delay h / d | volume % |",
        "|---|---|---|---|---|---|---|",
        *(_row(*row) for row in rows),
        f"found {figures['found_share']} of the leaks; as many alarms at random times"
        f" {figures['chance_share']}; abrupt ones within 24 h: {figures['abrupt_found_24h']}",
        "change of leak flow in A+B, mean error in m3/h:"
        f" night flow {figures['night_flow_mae_m3_h']}, open leaks {figures['open_leaks_mae_m3_h']}"
        " (reference, January to June: night flow 6.8, pattern regression 3.3)",
    ]
    return "".join(f"{line}\n" for line in lines)


def _finding(each: Any) -> str:
    said, ended = each["evidence"], each["ended_at"]
    return (
        f"{said['area']:>3}  detected {said['detected_at'][:16]}"
        f"  {said['flow_l_s'] * M3_H:5.1f} m3/h"
        f"  since {each['started_at']:%m-%d %H:%M}"
        + (f"  until {ended:%m-%d %H:%M} ({said['repair']})" if ended else "")
    )


def _row(name: str, abrupt: str, slow: str, *said: float | None) -> str:
    false, alarms, delay, days, volume = ("-" if x is None else f"{x:.3g}" for x in said)
    return f"| {name} | {abrupt} | {slow} | {false} | {alarms} | {delay} / {days} | {volume} |"
