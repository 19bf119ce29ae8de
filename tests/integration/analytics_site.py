"""A small site for the analytics tests, and readings written the way ingest commits them."""

import copy
import os
import random
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Engine, text

from services.analytics.main import jobs
from services.analytics.runner import run_slice

Reading = tuple[datetime, float, int]
SEEDS: Final = range(6 if "LAB_TEST_FULL" in os.environ else 1)  # of orders of arrival to try

SITE: dict[str, Any] = {
    "site": {
        "key": "town",
        "name": "Town",
        "zone": "Asia/Jakarta",
        "lat": -6.48,
        "lon": 106.85,
        "stage": "experiment",
    },
    "sources": [{"key": "plain", "adapter": "lab", "filters": ["livinglab/town/#"]}],
    "profiles": [
        {
            "key": "gauge",
            "interval_s": 900,
            "fields": {"level": {"property": "water_level", "unit": "m"}},
        },
        {
            "key": "meter",
            "interval_s": 3600,
            "fields": {"index": {"property": "water_volume_index", "unit": "m3"}},
        },
    ],
    "pilots": [
        {
            "key": "flood",
            "service": "SEC-02",
            "kind": "flood",
            "phase": 1,
            "origin": "simulated",
            "params": {
                "thresholds": {
                    "g1": [
                        {
                            "valid_from": "2014-01-01",
                            "siaga3": 0.8,
                            "siaga2": 1.5,
                            "siaga1": 2.0,
                            "source": "test",
                        }
                    ]
                }
            },
        },
        {
            "key": "water",
            "service": "WAT-04",
            "kind": "metering",
            "phase": 1,
            "origin": "simulated",
        },
    ],
    "devices": [],
}


def site(
    *devices: tuple[str, str], zone: str = "Asia/Jakarta", **dates: str | None
) -> dict[str, Any]:
    """SITE with devices (key, profile); gauges join the flood pilot, meters the water pilot."""
    made = copy.deepcopy(SITE)
    made["site"]["zone"] = zone
    made["devices"] = [
        {
            "key": key,
            "pilot": "flood" if profile == "gauge" else "water",
            "profile": profile,
            "source": "plain",
            "origin": "simulated",
            **dates,
        }
        for key, profile in devices
    ]
    return made


def datastream(engine: Engine, device: str, name: str) -> int:
    """The id of a device's datastream."""
    with engine.connect() as connection:
        found = connection.scalar(
            text("""
                SELECT datastream.id FROM datastream JOIN device ON device.id = device_id
                WHERE device.key = :device AND property = :name
            """),
            {"device": device, "name": name},
        )
    assert isinstance(found, int)
    return found


def write(engine: Engine, datastream_id: int, readings: Sequence[Reading]) -> None:
    """One committed batch: readings and the change row that names their cells."""
    times, values, qualities = zip(*readings, strict=True)
    scope = {"id": datastream_id, "times": list(times)}
    with engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO reading (time, datastream_id, value, quality)
                SELECT time, :id, value, quality
                FROM unnest(CAST(:times AS timestamptz[]), CAST(:values AS float8[]),
                            CAST(:qualities AS smallint[])) AS batch(time, value, quality)
                ON CONFLICT DO NOTHING
            """),
            {**scope, "values": list(values), "qualities": list(qualities)},
        )
        connection.execute(
            text("""
                INSERT INTO change (datastream_ids, hours)
                SELECT array_agg(id), array_agg(hour) FROM (
                    SELECT DISTINCT datastream.id, date_trunc('hour', time, site.zone) AS hour
                    FROM unnest(CAST(:times AS timestamptz[])) AS time
                    JOIN datastream ON datastream.id = :id
                    JOIN device ON device.id = datastream.device_id
                    JOIN site ON site.id = device.site_id
                ) AS cell
            """),
            scope,
        )


def arrive_anyhow(
    engine: Engine, datastream_id: int, readings: Sequence[Reading], chance: random.Random
) -> None:
    """Begin anew, and let readings come in any order, a few at a time, jobs running in between."""
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE reading, finding, change, reading_hourly, job CASCADE"))
    left = chance.sample(readings, len(readings))
    while left:
        count = chance.randint(1, 25)
        write(engine, datastream_id, left[:count])
        left = left[count:]
        if chance.random() < 0.7:
            settle(engine)
    settle(engine)


def settle(engine: Engine) -> None:
    """Run every job until none finds more to do."""
    for _ in range(2):  # what a pilot derives is rolled up in the second round
        for job in jobs():
            while run_slice(engine, job):
                pass


def rows(engine: Engine, query: str, **values: object) -> list[dict[str, Any]]:
    """The result of a query as plain dictionaries."""
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(text(query), values).mappings()]


def errors(engine: Engine) -> dict[str, str]:
    """What jobs say went wrong."""
    return {
        row["name"]: row["error"]
        for row in rows(engine, "SELECT name, error FROM job WHERE error IS NOT NULL")
    }


def good(readings: Iterable[tuple[datetime, float]]) -> list[Reading]:
    return [(time, value, 1) for time, value in readings]
