"""`make bench-long`: does a full table slow ingest down, and what does a reading take on disk?

LAB_BENCH_ROWS readings (200 million by default, some 20 GB) are made in the database itself, of the
devices that go on sending. Then batches of new uplinks go through ingest's own writer into that
table and, in turns, into an empty one of the same server. Prints a table and one JSON line.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from services.analytics import compression
from services.ingest import batch as batches
from services.ingest import main as ingest
from services.ingest.store import Store
from services.ingest.uplink import Message
from shared.db import storage, timescale
from shared.db.engine import connect, sync_engine
from shared.settings import Database, Retention
from tests.bench.ingest_messages import DEVICES, READINGS, START, uplink
from tests.bench.ingest_world import add_devices, database, server
from tests.integration.storage_world import finish

ROWS: Final = int(os.environ.get("LAB_BENCH_ROWS", "200000000"))
UPLINKS: Final = 20_000  # of each measurement
BATCH: Final = 1000
ROUNDS: Final = 15
FILLERS: Final = 2
SLICE: Final = 2_000_000  # rows made in one transaction
# Datastreams before the batches' time, each a reading a minute; values and times wander a little.
FILL: Final = """
    INSERT INTO reading (time, datastream_id, value, quality)
    SELECT %(end)s::timestamptz - make_interval(mins => minute) + random() * interval '900 ms',
           datastream_id, round(200 + 100 * sin(minute / 200.0) + 2 * random()) / 100, 1
    FROM generate_series(%(first)s::int, %(last)s::int) AS minute,
         generate_series(1, %(datastreams)s::int) AS datastream_id
"""


def written_per_second(database: Database, first: int) -> float:
    """Readings per second of uplinks from a number on, prepared and committed by ingest's parts."""
    store, adapters = Store(database), ingest.known_adapters()
    spent = 0.0
    for begin in range(first, first + UPLINKS, BATCH):
        now = datetime.now(UTC)
        arrived = (uplink(i) for i in range(begin, begin + BATCH))
        messages = [Message(topic, body, now) for topic, body in arrived]
        started = time.perf_counter()
        store.write(batches.prepare(store, adapters, messages))
        spent += time.perf_counter() - started
    store.close()
    return UPLINKS * READINGS / spent


def fill(database: Database) -> int:
    """Make the readings of a past that ends a day before the batches begin; returns how many."""
    datastreams = DEVICES * READINGS
    minutes, step = max(1, ROWS // datastreams), max(1, SLICE // datastreams)
    end = 1440 + minutes

    def slice_(first: int) -> None:
        last = min(first + step, end) - 1
        values = {"end": START, "first": first, "last": last, "datastreams": datastreams}
        with connect(database, autocommit=True) as connection:
            connection.execute(FILL, values)
        say(f"  {(last - 1439) * datastreams:,} of {minutes * datastreams:,} readings made")

    with ThreadPoolExecutor(FILLERS) as fillers:
        list(fillers.map(slice_, range(1440, end, step)))
    with connect(database, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE reading")
        connection.execute("CHECKPOINT")
    return minutes * datastreams


def kept(database: Database) -> tuple[float, float | None]:
    """Bytes per reading as it was written, and compressed where the edition does that."""
    engine = sync_engine(database)
    with engine.connect() as connection:
        before = storage.readings(connection)
        compresses = timescale.edition(connection) == "community"
    plain = sum(s.plain.bytes for s in before) / sum(s.plain.readings for s in before)
    if not compresses:
        return plain, None
    finish(engine, lambda c, progress: compression.work(c, progress, Retention(), START))
    with engine.connect() as connection:
        after = [s.compressed for s in storage.readings(connection)]
    engine.dispose()
    readings = sum(part.readings for part in after)  # none where no chunk is old enough
    return plain, sum(part.bytes for part in after) / readings if readings else None


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def in_turns(databases: Sequence[Database]) -> list[list[float]]:
    """Readings per second into each, once in every round; the first round warms up.

    Each begins every other round: what one leaves to be flushed falls on both alike.
    """
    rates: list[list[float]] = [[] for _ in databases]
    for turn in range(1 + ROUNDS):
        places = range(len(databases))
        for place in reversed(places) if turn % 2 else places:
            rates[place].append(written_per_second(databases[place], turn * UPLINKS))
    return [of_one[1:] for of_one in rates]


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as name,
        server(Path(name)) as url,
        database(url) as filled,
        database(url, "lab_bench_empty") as beside,
    ):
        for each in (filled, beside):
            add_devices(each)
        begun = time.perf_counter()
        rows = fill(filled)
        say(f"filled in {time.perf_counter() - begun:.0f} s")
        empty, full = in_turns((beside, filled))
        say("| table | readings/s | least-most |\n|---|---|---|")
        for title, rates in (("empty", empty), (f"{rows:,} readings", full)):
            say(f"| {title} | {median(rates):,.0f} | {min(rates):,.0f}-{max(rates):,.0f} |")
        plain, compressed = kept(filled)
    say(f"load: {', '.join(f'{load:.1f}' for load in os.getloadavg())} on {os.cpu_count()} cores")
    if compressed is None:
        say("WARNING: nothing was compressed: name TimescaleDB community in LAB_TEST_TIMESCALE_URL")
    figures = {"rows": rows, "empty": round(median(empty)), "full": round(median(full))}
    ratio = round(median(full) / median(empty), 2)
    bytes_ = {
        "plain_bytes": round(plain, 1),
        "compressed_bytes": compressed and round(compressed, 1),
    }
    say(json.dumps(figures | {"ratio": ratio} | bytes_))


if __name__ == "__main__":
    main()
