"""A small known world for the API tests: three sites in three zones, with readings and meaning."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from sqlalchemy import Engine, insert, text

from services.api.app import create_app
from shared.db import sites, tables
from shared.settings import Database
from shared.site_file import parse

START = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 3
STEP = timedelta(minutes=10)


def site(key: str, zone: str, origin: str, *, devices: int = 2) -> dict[str, Any]:
    """A site with a flood pilot of `devices` gauges, each with level and battery."""
    return {
        "site": {
            "key": key,
            "name": key.title(),
            "zone": zone,
            "lat": 1.0,
            "lon": 2.0,
            "stage": "experiment",
        },
        "sources": [{"key": "plain", "adapter": "lab", "filters": [f"livinglab/{key}/#"]}],
        "profiles": [
            {
                "key": "gauge",
                "interval_s": 600,
                "fields": {
                    "level": {"property": "water_level", "unit": "cm"},
                    "battery": {"property": "battery_voltage"},
                },
            }
        ],
        "pilots": [
            {
                "key": "flood",
                "service": "SEC-02",
                "kind": "flood",
                "phase": 1,
                "origin": origin,
                "params": {"thresholds": [1.5]},
            }
        ],
        "devices": [
            {
                "key": f"g{number}",
                "pilot": "flood",
                "profile": "gauge",
                "source": "plain",
                "planned": "2026-01-01",
                "maintenance": [["2026-02-01", "2026-02-02"]],
                "origin": origin,
            }
            for number in range(1, devices + 1)
        ],
    }


def fill(engine: Engine) -> None:
    """Apply the sites and write readings, roll-ups, findings, outcomes, ledger and requests.

    Datastream 1 (cibinong g1 water_level) has a reading every 10 minutes of 3 days; datastream 2
    (its battery) none at all.
    """
    with engine.begin() as connection:
        for key, zone, origin in (
            ("cibinong", "Asia/Jakarta", "simulated"),
            ("yangon", "Asia/Yangon", "simulated"),
            ("calder", "Europe/London", "recorded"),
        ):
            sites.apply(connection, parse(site(key, zone, origin)))
        streams = connection.execute(
            text("""
                SELECT datastream.id, zone FROM datastream
                JOIN device ON device.id = device_id JOIN site ON site.id = device.site_id
                WHERE property = 'water_level' AND device.key = 'g1' ORDER BY 1
            """)
        ).all()
        for number, zone in streams:
            connection.execute(insert(tables.reading), _readings(number))
            connection.execute(text(_ROLL_UP), {"datastream": number, "zone": zone})
        _meaning(connection, streams[0][0])


def _readings(datastream: int) -> list[dict[str, Any]]:
    count = int(timedelta(days=DAYS) / STEP)
    return [
        {
            "time": START + i * STEP,
            "datastream_id": datastream,
            "value": float(i),
            "quality": 4 if i % 10 == 9 else 1,
        }
        for i in range(count)
    ]


# Written down anew, not imported: the API is judged against the definition of the hourly table.
_ROLL_UP = """
    INSERT INTO reading_hourly
    SELECT datastream_id, date_trunc('hour', time, :zone), count(*),
           count(*) FILTER (WHERE quality <= 2), sum(value) FILTER (WHERE quality <= 2),
           min(value) FILTER (WHERE quality <= 2), max(value) FILTER (WHERE quality <= 2),
           (array_agg(value ORDER BY time) FILTER (WHERE quality <= 2))[1],
           (array_agg(value ORDER BY time DESC) FILTER (WHERE quality <= 2))[1]
    FROM reading WHERE datastream_id = :datastream GROUP BY 1, 2
"""


def _meaning(connection: Any, datastream: int) -> None:
    rows: dict[Any, list[dict[str, Any]]] = {
        tables.finding: [
            _finding(datastream, 1, ended_at=START + timedelta(hours=2)),
            _finding(datastream, 2, ended_at=None, severity="alarm"),
            _finding(datastream, 3, ended_at=None, withdrawn_at=START, kind="flood_forecast"),
        ],
        tables.pilot_kind: [{"kind": "flood", "description": {"observes": ["water_level"]}}],
        tables.metric_definition: [
            {"metric": "P1-02", "def_version": 1, "description": {"unit": "1", "name": "Data"}}
        ],
        tables.metric_value: [_outcome(1, 0.5, "provisional"), _outcome(2, 0.9, "pass")],
        tables.ledger: [
            _cell(1, "stored", 10),
            _cell(1, "repeat", 3),
            _cell(1, "item:no_decoder", 2),
            _cell(1, "item:bad_field", 1),
            _cell(None, "rejected:bad_json", 4),
            _cell(None, "rejected:no_device", 5),
        ],
        tables.service_request: [
            _request(i, status) for i, status in enumerate(("open", "closed"))
        ],
    }
    for table, values in rows.items():
        for value in values:
            connection.execute(insert(table), value)


def _finding(datastream: int, hour: int, **more: Any) -> dict[str, Any]:
    return {
        "pilot_id": 1,
        "datastream_id": datastream,
        "kind": "flood_warning",
        "severity": "warning",
        "confidence": 0.9,
        "started_at": START + timedelta(hours=hour),
        "evidence": {"peak": 1.7},
        "origin": "simulated",
        **more,
    }


def _outcome(version: int, value: float, state: str) -> dict[str, Any]:
    return {
        "metric": "P1-02",
        "def_version": 1,
        "version": version,
        "pilot_id": 1,
        "phase": 1,
        "from": START,
        "to": START + timedelta(days=7),
        "numerator": value * 100,
        "denominator": 100.0,
        "n": 2,
        "value": value,
        "state": state,
        "origin": "simulated",
        "input_digest": f"digest-{version}",
    }


def _cell(device: int | None, kind: str, n: int) -> dict[str, Any]:
    return {"source_id": 1, "device_id": device, "hour": START, "kind": kind, "n": n}


def _request(number: int, status: str) -> dict[str, Any]:
    return {
        "feedback_id": f"00000000-0000-0000-0000-00000000000{number}",
        "site_id": 1,
        "service_code": "flooded_street",
        "description": "SECRET-TEXT of a citizen",
        "rating": 4,
        "requested_at": START,
        "received_at": START,
        "origin": "simulated",
        "status": status,
    }


@asynccontextmanager
async def api(database: Database, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, without a network; errors of routes become answers."""
    app = create_app(database, **more)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        client.app = app  # type: ignore[attr-defined]
        yield client
