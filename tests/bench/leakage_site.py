"""A leakage pilot on a database of its own: readings in by COPY, real code, findings out."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, text

from services.analytics import pilot, pilot_job, runner
from shared.db import migrate, sites
from shared.db.engine import connect, sync_engine
from shared.embedded import postgres
from shared.settings import Database
from shared.site_file import parse

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Meter:
    """One device and what it recorded: time (n,) s since 1970, value (n,) in the property's
    canonical unit, NaN where missing."""

    key: str
    property: str
    time: Floats
    value: Floats


@contextmanager
def database() -> Iterator[tuple[Database, Engine]]:
    """An empty migrated database, gone afterwards."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        with postgres.running(Path(name) / "pg", settings={"fsync": "off"}) as url:
            settings = Database(url=url)
            engine = sync_engine(settings)
            migrate.upgrade(engine)
            yield settings, engine
            engine.dispose()


def site(key: str, zone: str, interval_s: int, meters: Sequence[Meter], params: Any) -> Any:
    """A site file with one recorded leakage pilot of these meters."""
    names = sorted({meter.property for meter in meters})
    return {
        "site": {"key": key, "name": key, "zone": zone, "lat": 0, "lon": 0, "stage": "foundation"},
        "sources": [{"key": "file", "adapter": "lab", "filters": [f"livinglab/{key}/+/up"]}],
        "profiles": [
            {"key": name.replace("_", "-"), "interval_s": interval_s}
            | {"fields": {name: {"property": name}}}
            for name in names
        ],
        "pilots": [
            {"key": "leakage", "service": "WAT-01", "kind": "leakage", "phase": 1}
            | {"origin": "recorded", "params": params}
        ],
        "devices": [
            {"key": meter.key, "pilot": "leakage", "profile": meter.property.replace("_", "-")}
            | {"source": "file", "origin": "recorded"}
            for meter in meters
        ],
    }


def fill(settings: Database, engine: Engine, file: Any, meters: Sequence[Meter]) -> None:
    """Apply the site and write its readings the way ingest commits them."""
    with engine.begin() as connection:
        sites.apply(connection, parse(file))
        rows = connection.execute(
            text("""SELECT device.key, datastream.id FROM datastream
                    JOIN device ON device.id = device_id WHERE derived_by IS NULL""")
        )
        ids = {row.key: row.id for row in rows}
    with connect(settings) as connection, connection.cursor() as cursor:
        with cursor.copy("COPY reading (time, datastream_id, value, quality) FROM STDIN") as copy:
            for meter in meters:
                for at, value in zip(meter.time, meter.value, strict=True):
                    if np.isfinite(value):
                        stamp = datetime.fromtimestamp(at).astimezone().isoformat()
                        copy.write_row((stamp, ids[meter.key], float(value), 1))
        cursor.execute(
            "INSERT INTO change (datastream_ids, hours)"
            " SELECT array_agg(datastream_id), array_agg(hour) FROM (SELECT DISTINCT"
            " datastream_id, date_trunc('hour', time) AS hour FROM reading) AS cell"
        )
        connection.commit()


def analyse(engine: Engine) -> list[float]:
    """Run the pilot kind's job until no work waits; seconds of each slice."""
    import time

    job = pilot_job.job(pilot.kinds()["leakage"])
    seconds = []
    more = True
    while more:
        begun = time.perf_counter()
        more = runner.run_slice(engine, job)
        seconds.append(time.perf_counter() - begun)
    with engine.connect() as connection:
        if error := connection.scalar(text("SELECT error FROM job WHERE error IS NOT NULL")):
            raise SystemExit(f"the analysis failed: {error}")
    return seconds


def found(engine: Engine) -> list[Mapping[str, Any]]:
    """Findings not withdrawn, in order of detection."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("""SELECT kind, severity, started_at, ended_at, evidence FROM finding
                    WHERE withdrawn_at IS NULL ORDER BY evidence ->> 'detected_at'""")
        ).mappings()
        return [dict(row) for row in rows]


def derived(engine: Engine, name: str, area: str) -> tuple[Floats, Floats]:
    """Times (s since 1970) and values of a derived series of an area."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("""SELECT extract(epoch FROM time)::float8, value FROM reading
                    JOIN datastream ON datastream.id = datastream_id
                    WHERE property = :name AND channel = :area ORDER BY time"""),
            {"name": name, "area": area},
        ).all()
    array = np.array([tuple(row) for row in rows], dtype=np.float64).reshape(-1, 2)
    return array[:, 0], array[:, 1]
