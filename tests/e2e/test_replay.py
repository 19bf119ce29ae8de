"""`lab replay` through broker and ingest: a Parquet file arrives value for value."""

import math
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from shared.embedded.nats import Broker
from shared.settings import Database, Mqtt
from tests.integration.ingest_bench import Bench
from tests.integration.test_ingest_mosquitto import run
from tests.integration.test_ingest_path import site

pyarrow = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pytestmark = pytest.mark.database
ROWS = 3000
MAP = "{time: when, zone: UTC, device: gauge, devices: {G-1: g1}, fields: {level_cm: level}}"


def test_a_parquet_file_arrives_value_for_value(
    database: Database,
    engine: Engine,
    broker: Broker,
    apply_site: Callable[..., Any],
    tmp_path: Path,
) -> None:
    apply_site(site())
    start = datetime(2014, 1, 1, tzinfo=UTC)
    times = [start + timedelta(minutes=15 * i) for i in range(ROWS)]
    levels = [math.nan if i % 50 == 0 else (i % 700) / 8 for i in range(ROWS)]
    table = {
        "when": pyarrow.array(times, pyarrow.timestamp("us", tz="UTC")),
        "gauge": ["G-1"] * ROWS,
        "level_cm": pyarrow.array(levels, pyarrow.float32()),
    }
    pq.write_table(pyarrow.table(table), tmp_path / "levels.parquet")
    (tmp_path / "map.yaml").write_text(MAP)
    expected = {at: level / 100 for at, level in zip(times, levels, strict=True) if level == level}

    stopping, bench = run(database, Mqtt(url=broker.url)), Bench(broker, engine)
    variables = {"LAB_DATABASE_URL": database.url, "LAB_MQTT_URL": broker.url}
    for stored, repeats in ((len(expected), 0), (len(expected), len(expected))):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "services.cli", "replay"),
                *(str(tmp_path / "levels.parquet"), "--map", str(tmp_path / "map.yaml")),
            ],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"published {len(expected)}, repeats 0\n"
        counted = bench.settle(stored + repeats)
        assert counted == {"stored": stored} | ({"repeat": repeats} if repeats else {})
        got = {r["time"]: r["value"] for r in bench.rows("SELECT time, value FROM reading")}
        assert got == expected
    stopping()
    bench.close()
