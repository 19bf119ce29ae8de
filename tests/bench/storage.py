"""`make bench-storage`: bytes a reading takes, by kind of series, plain and compressed.

Needs a TimescaleDB community server, named by LAB_TEST_TIMESCALE_URL. The series are made up: a
value every 15 minutes with noise in its last digits, its time on the grid or some seconds beside
it, as devices with a clock and radio sensors have it. Prints a table, then one JSON line.
"""

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, text

from shared.db import migrate, sites, storage
from shared.db.engine import sync_engine
from shared.site_file import parse
from tests.bench.ingest_world import database, server
from tests.integration.storage_world import NOW, compress

DEVICES: Final = 100
# What a device measures, as SQL of n (its number) and at (a time).
VALUES: Final[Mapping[str, str]] = {
    "air_temperature": "round((27 + 4 * sin(x) + random() / 5)::numeric, 1)",
    "water_level": "round((2 + 0.3 * sin(x) + random() / 100)::numeric, 3)",
    "water_volume_index": "round((x * 40 + random() / 20)::numeric, 2)",
    "bay_occupied": "round(random())",
}
TIMES: Final = {"on the grid": "at", "jittered": "at + random() * interval '20 seconds'"}
FILL: Final = """
    INSERT INTO reading (time, datastream_id, value, quality)
    SELECT {time}, datastream.id, {value}, 1
    FROM (SELECT at, extract(epoch FROM at - CAST(:begin AS timestamptz)) / 13750.0 AS x
          FROM generate_series(CAST(:begin AS timestamptz), :end, '15 minutes') AS at) AS moment,
         datastream
    WHERE datastream.property = :property
"""


def site() -> dict[str, Any]:
    """Devices that measure all of it."""
    devices = [
        {"key": f"d{i}", "profile": "p", "source": "lab", "origin": "simulated"}
        for i in range(DEVICES)
    ]
    return {
        "site": {"key": "bench", "name": "Bench", "zone": "UTC", "lat": 0, "lon": 0}
        | {"stage": "foundation"},
        "sources": [{"key": "lab", "adapter": "lab", "filters": ["livinglab/bench/#"]}],
        "profiles": [{"key": "p", "fields": {name: {"property": name} for name in VALUES}}],
        "devices": devices,
    }


def fill(engine: Engine, time: str) -> None:
    span = {"begin": NOW.replace(month=NOW.month - 2, day=1), "end": NOW}
    for name, value in VALUES.items():
        with engine.begin() as connection:
            statement = text(FILL.format(time=time, value=value))
            connection.execute(statement, {**span, "property": name})


def measured(time: str) -> dict[str, tuple[float, float]]:
    """Bytes of one reading by property: before, and once all but two weeks is compressed."""
    with tempfile.TemporaryDirectory() as name, server(Path(name)) as url, database(url) as made:
        engine = sync_engine(made)
        migrate.upgrade(engine)
        engine.dispose()  # settings of the database hold for new connections
        with engine.begin() as connection:
            sites.apply(connection, parse(site()))
        fill(engine, time)
        with engine.connect() as connection:
            plain = {each.property: each.plain.each for each in storage.readings(connection)}
        compress(engine)
        with engine.connect() as connection:
            found = {each.property: each.compressed.each for each in storage.readings(connection)}
        engine.dispose()
    return {name: (plain[name] or 0.0, found[name] or 0.0) for name in VALUES}


def main() -> None:
    if "LAB_TEST_TIMESCALE_URL" not in os.environ:
        raise SystemExit("bench-storage: LAB_TEST_TIMESCALE_URL names no TimescaleDB community")
    told: dict[str, dict[str, tuple[float, float]]] = {}
    sys.stdout.write("| series | times | plain | compressed | smaller |\n|---|---|---|---|---|\n")
    for label, time in TIMES.items():
        told[label] = measured(time)
        for name, (plain, small) in told[label].items():
            ratio = plain / small
            sys.stdout.write(
                f"| `{name}` | {label} | {plain:.1f} | {small:.1f} | {ratio:.1f} x |\n"
            )
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
