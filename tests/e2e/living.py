"""A small believable world for the pages: simulated floods and meters, recorded river levels."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, Engine, insert, text

from services.analytics.outcomes.metric import described as describe
from services.analytics.outcomes.metric import metrics
from services.analytics.pilot import described, kinds
from shared.db import change, sites, tables
from shared.site_file import parse
from tests.e2e import places, radio

_HOUR: Final = 3600.0


@dataclass(frozen=True)
class World:
    """Ids a test needs, by key, and the engine of the database they are in."""

    engine: Engine
    now: datetime
    pilots: dict[str, int]
    datastreams: dict[tuple[str, str], int]


def settle(engine: Engine, now: datetime | None = None, days: int = 35) -> World:
    """Fill an empty database with two sites, `days` of readings up to `now`, and their meaning."""
    now = (now or datetime.now(UTC)).replace(microsecond=0)
    with engine.begin() as connection:
        for site in (places.cibinong(now), places.calder(now)):
            sites.apply(connection, parse(site))
        connection.execute(
            insert(tables.pilot_kind),
            [{"kind": name, "description": described(kind)} for name, kind in kinds().items()],
        )
        world = _world(engine, connection, now)
        _levels(connection, world, days)
        _meters(connection, world, days)
        _meaning(connection, world)
        radio.settle(connection, now)
    return world


def put(connection: Connection, datastream: int, times: Any, values: Any, quality: Any = 1) -> None:
    """Readings with their hourly roll-up and their change row, as ingest and analytics would."""
    qualities = np.broadcast_to(quality, len(values)).tolist()
    moments = [datetime.fromtimestamp(float(t), UTC) for t in times]
    rows = zip(moments, np.asarray(values).tolist(), qualities, strict=True)
    connection.execute(
        insert(tables.reading),
        [{"time": t, "datastream_id": datastream, "value": v, "quality": q} for t, v, q in rows],
    )
    hours = connection.execute(_ROLL_UP, {"datastream": datastream, "since": min(moments)})
    change.record(connection, [(datastream, row.hour) for row in hours])


_ROLL_UP: Final = text("""
    INSERT INTO reading_hourly
    SELECT datastream_id, date_trunc('hour', time, zone), count(*),
           count(*) FILTER (WHERE quality <= 2), sum(value) FILTER (WHERE quality <= 2),
           min(value) FILTER (WHERE quality <= 2), max(value) FILTER (WHERE quality <= 2),
           (array_agg(value ORDER BY time) FILTER (WHERE quality <= 2))[1],
           (array_agg(value ORDER BY time DESC) FILTER (WHERE quality <= 2))[1]
    FROM reading
    JOIN datastream ON datastream.id = datastream_id
    JOIN device ON device.id = device_id JOIN site ON site.id = site_id
    WHERE datastream_id = :datastream AND time >= date_trunc('hour', :since, zone)
    GROUP BY 1, 2
    ON CONFLICT (datastream_id, hour) DO UPDATE SET
        n = excluded.n, n_good = excluded.n_good, sum = excluded.sum, min = excluded.min,
        max = excluded.max, first = excluded.first, last = excluded.last
    RETURNING hour
""")


def _world(engine: Engine, connection: Connection, now: datetime) -> World:
    pilots = connection.execute(text("SELECT key, id FROM pilot"))
    streams = connection.execute(
        text("""
            SELECT device.key, property, datastream.id
            FROM datastream JOIN device ON device.id = device_id
        """)
    )
    return World(
        engine,
        now,
        {row.key: row.id for row in pilots},
        {(row.key, row.property): row.id for row in streams},
    )


def _levels(connection: Connection, world: World, days: int) -> None:
    """River gauges every 15 minutes with two rises; one fast; one that fell silent; two sites."""
    end = world.now.timestamp()
    steps = np.arange(end - days * 24 * _HOUR, end + 1, 900.0)
    shift = {"ciliwung-up": 0.0, "ciliwung-mid": 2.5, "kali-baru": 4.0}
    for place, (key, lag) in enumerate({**shift, "hebden-bridge": 0.0, "todmorden": 1.5}.items()):
        times = steps[steps <= end - 9 * _HOUR] if key == "kali-baru" else steps
        values = np.round(_river(times, end, lag, 0.52 + 0.17 * place), 3)
        put(connection, world.datastreams[key, "water_level"], times, values)
    fast = np.arange(end - 2 * _HOUR, end + 1, 10.0)
    put(
        connection,
        world.datastreams["weir", "water_level"],
        fast,
        np.round(_river(fast, end, 1.0, 0.9), 3),
    )
    odd = end - np.array([70.0, 45.0, 20.0]) * 60
    put(connection, world.datastreams["old-staff", "water_level"], odd, [0.41, 0.44, 0.43], 2)


def _river(times: Any, end: float, lag_h: float, base: float) -> Any:
    """Level in m: a daily breath, a little noise, and rises that ebb away, seen `lag_h` later."""
    noise = np.random.default_rng(int(base * 1000)).normal(0, 0.008, len(times))
    level = base + 0.05 * np.sin(2 * np.pi * (times / 86400.0)) + noise
    for hours_ago, height in ((7.0, 0.62), (91.0, 1.15), (400.0, 0.8)):
        since = (times - (end - (hours_ago - lag_h) * _HOUR)) / _HOUR
        level += np.where(since > 0, height * (since / 2.2) * np.exp(1 - since / 2.2), 0.0)
    return level


def _meters(connection: Connection, world: World, days: int) -> None:
    """Hourly indices in m3 of eight households, and their hourly consumption."""
    end = world.now.timestamp() // _HOUR * _HOUR
    hours = np.arange(end - days * 24 * _HOUR, end + 1, _HOUR)
    local = (hours / _HOUR + 7) % 24
    demand = (
        0.006 + 0.03 * np.exp(-((local - 7) ** 2) / 4) + 0.026 * np.exp(-((local - 19) ** 2) / 6)
    )
    for n, key in enumerate(places.METERS):
        used = np.random.default_rng(n).gamma(2.0, 0.5, len(hours)) * demand
        index = world.datastreams[key, "water_volume_index"]
        put(connection, index, hours, np.round(120.0 + 31 * n + np.cumsum(used), 3))
        derived = connection.scalar(
            text("""
                INSERT INTO datastream (device_id, property, unit, derived_by)
                SELECT device_id, 'water_consumption', 'm3', 'metering'
                FROM datastream WHERE id = :index RETURNING id
            """),
            {"index": index},
        )
        assert derived is not None
        world.datastreams[key, "water_consumption"] = derived
        quality = np.where(np.arange(len(hours)) % 97 < 4, 3, 1)
        put(connection, derived, hours[:-1], np.round(used[1:], 4), quality[:-1])


def _meaning(connection: Connection, world: World) -> None:
    """Findings, outcome metrics and citizens' messages, all marked as simulated."""
    _findings(connection, world)
    _outcomes(connection, world)
    connection.execute(_MESSAGES, {"now": world.now})


def _findings(connection: Connection, world: World) -> None:
    def ago(hours: float) -> datetime:
        return world.now - timedelta(hours=hours)

    finding = {
        "pilot_id": world.pilots["flood"],
        "kind": "flood",
        "origin": "simulated",
        "confidence": None,
    }
    up = world.datastreams["ciliwung-up", "water_level"]
    mid = world.datastreams["ciliwung-mid", "water_level"]
    connection.execute(
        insert(tables.finding),
        [
            {
                **finding,
                "datastream_id": up,
                "severity": "alarm",
                "started_at": ago(90.25),
                "ended_at": ago(84.5),
                "evidence": {"peak_state": 2, "peak_level_m": 1.672},
            },
            {
                **finding,
                "datastream_id": mid,
                "severity": "warning",
                "started_at": ago(3.25),
                "ended_at": None,
                "evidence": {"peak_state": 3, "peak_level_m": 1.271},
            },
        ],
    )


def _outcomes(connection: Connection, world: World) -> None:
    midnight = world.now.replace(hour=17, minute=0, second=0) - timedelta(days=1)
    metric = {"phase": 1, "def_version": 1, "version": 1, "origin": "simulated", "coverage": 1.0}
    shared: dict[str, Any] = {**metric, "pilot_id": world.pilots["flood"], "input_digest": "seeded"}
    connection.execute(
        insert(tables.metric_value),
        [
            _value(
                shared, "P1-01", midnight, 30, (5, 6, 6), (0.8333, 0.4365, 0.9699), "provisional"
            ),
            _value(shared, "P1-02", midnight, 7, (2601, 2688, 4), (0.9676, 0.9512, 0.9881), "pass"),
            _value(
                shared,
                "P1-02",
                midnight,
                30,
                (9870, 11520, 4),
                (0.8568, 0.81, 0.91),
                "fail",
                "interval_unknown: 1 devices left out",
            ),
        ],
    )
    connection.execute(
        insert(tables.metric_definition),
        [
            {"metric": each.key, "def_version": each.def_version, "description": describe(each)}
            for each in metrics().values()
        ],
    )


_MESSAGES: Final = text("""
    INSERT INTO service_request (feedback_id, site_id, service_code, description, rating,
                                 requested_at, received_at, origin)
    SELECT gen_random_uuid(), site.id,
           (ARRAY['flooded_street', 'water_pressure'])[1 + n % 2],
           'seeded', 1 + n % 5, :now, :now, 'simulated'
    FROM site, generate_series(1, 17) AS n WHERE site.key = 'cibinong'
""")


def _value(
    shared: dict[str, Any],
    metric: str,
    end: datetime,
    days: int,
    counts: tuple[float, float, int],
    estimate: tuple[float, float, float],
    state: str,
    reason: str | None = None,
) -> dict[str, Any]:
    return {
        **shared,
        "metric": metric,
        "from": end - timedelta(days=days),
        "to": end,
        "numerator": counts[0],
        "denominator": counts[1],
        "n": counts[2],
        "value": estimate[0],
        "ci_low": estimate[1],
        "ci_high": estimate[2],
        "method": "seeded",
        "state": state,
        "reason": reason,
    }
