"""A recorded parking pilot on a database of its own: real code, what it derived out."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import Engine, text

from services.analytics import pilot, pilot_job, runner
from tests.bench.leakage_site import Floats, Meter, database, fill

__all__ = [
    "Floats",
    "Meter",
    "analyse",
    "database",
    "derived",
    "fill",
    "findings",
    "report",
    "site",
]
Line = tuple[str, object, object]


def site(zone: str, meters: Sequence[Meter], interval_s: int | None, params: Any) -> Any:
    """A site file with one recorded parking pilot of these devices."""
    name = meters[0].property
    return {
        "site": {"key": "town", "name": "Town", "zone": zone, "lat": 0, "lon": 0}
        | {"stage": "foundation"},
        "sources": [{"key": "file", "adapter": "lab", "filters": ["livinglab/town/+/up"]}],
        "profiles": [
            {"key": "space", "interval_s": interval_s, "fields": {"v": {"property": name}}}
        ],
        "pilots": [
            {"key": "parking", "service": "MOB-02", "kind": "parking", "phase": 1}
            | {"origin": "recorded", "params": params}
        ],
        "devices": [
            {"key": meter.key, "pilot": "parking", "profile": "space", "source": "file"}
            | {"origin": "recorded"}
            for meter in meters
        ],
    }


def analyse(engine: Engine) -> float:
    """Run the pilot kind's job until no work waits; the longest slice in seconds."""
    job = pilot_job.job(pilot.kinds()["parking"])
    seconds, more = [], True
    while more:
        begun = time.perf_counter()
        more = runner.run_slice(engine, job)
        seconds.append(time.perf_counter() - begun)
    with engine.connect() as connection:
        if error := connection.scalar(text("SELECT error FROM job WHERE error IS NOT NULL")):
            raise SystemExit(f"the analysis failed: {error}")
    return max(seconds)


def derived(
    engine: Engine,
    name: str,
    channel: str,
    start: datetime | None = None,
    past: datetime | None = None,
) -> dict[str, tuple[Floats, Floats, Floats]]:
    """Times (s since 1970), values and qualities of a derived series, by device."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("""
                SELECT device.key, extract(epoch FROM time)::float8 AS time, value, quality
                FROM reading JOIN datastream ON datastream.id = datastream_id
                JOIN device ON device.id = device_id
                WHERE property = :name AND channel = :channel AND derived_by = 'parking'
                  AND time >= :start AND time < :past
                ORDER BY 1, 2
            """),
            {
                "name": name,
                "channel": channel,
                "start": start or datetime(1970, 1, 1, tzinfo=UTC),
                "past": past or datetime(2100, 1, 1, tzinfo=UTC),
            },
        ).all()
    by_device: dict[str, list[tuple[float, float, float]]] = {}
    for key, *cell in rows:
        by_device.setdefault(key, []).append((cell[0], cell[1], float(cell[2])))
    return {key: tuple(np.array(cells).T) for key, cells in by_device.items()}  # type: ignore[misc]


def findings(engine: Engine, kind: str) -> list[Mapping[str, Any]]:
    """Findings of a kind not withdrawn."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT * FROM finding WHERE kind = :kind AND withdrawn_at IS NULL"),
            {"kind": kind},
        ).mappings()
        return [dict(row) for row in rows]


def report(title: str, lines: Sequence[Line], notes: Sequence[str]) -> str:
    """A table of what was reached beside what the reference has."""
    rows = [f"\n{title}", f"| {'figure':46} | {'reached':>10} | {'reference':>10} |"]
    rows.append(f"|{'-' * 48}|{'-' * 12}|{'-' * 12}|")
    rows += [f"| {what:46} | {reached!s:>10} | {known!s:>10} |" for what, reached, known in lines]
    return "\n".join([*rows, *(f"  {note}" for note in notes)]) + "\n"
