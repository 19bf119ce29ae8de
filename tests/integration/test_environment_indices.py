"""Pilot kind environment: indices and findings stored, the same in any order of arrival."""

import copy
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.integration import analytics_site as world

pytestmark = pytest.mark.database
Apply = Callable[[object], list[str]]
MIDNIGHT = datetime(2026, 3, 1, 17, tzinfo=UTC)  # 2026-03-02 00:00 in Jakarta
HOUR = timedelta(hours=1)
FIELDS = {
    "pm": ("pm2_5", "ug/m3"),
    "ozone": ("ozone", "ug/m3"),
    "do": ("dissolved_oxygen", "mg/L"),
    "ph": ("acidity", "[pH]"),
    "nh4": ("ammonia", "mg/L"),
    "t": ("water_temperature", "Cel"),
}
PARK: dict[str, Any] = {
    **world.SITE,
    "profiles": [
        {
            "key": "station",
            "interval_s": 1800,
            "fields": {key: {"property": p, "unit": unit} for key, (p, unit) in FIELDS.items()},
        }
    ],
    "pilots": [
        {
            "key": "park",
            "service": "HEA-03",
            "kind": "environment",
            "phase": 1,
            "origin": "simulated",
            "params": {"water": {"limits": "class-2"}},
        }
    ],
    "devices": [
        {
            "key": "s1",
            "pilot": "park",
            "profile": "station",
            "source": "plain",
            "origin": "simulated",
        }
    ],
}
LIVE = """
    SELECT kind, severity, started_at, ended_at, evidence, origin FROM finding
    WHERE withdrawn_at IS NULL ORDER BY kind, started_at
"""
DERIVED = """
    SELECT property, channel, time, value, quality FROM reading
    JOIN datastream ON datastream.id = datastream_id
    WHERE derived_by IS NOT NULL ORDER BY property, channel, time
"""


@pytest.fixture
def park(apply_site: Apply, engine: Engine) -> dict[str, int]:
    apply_site(PARK)
    return {name: world.datastream(engine, "s1", name) for name, _ in FIELDS.values()}


def half_hours(values: list[float]) -> list[world.Reading]:
    return world.good([(MIDNIGHT + HOUR * (i / 2 + 0.25), v) for i, v in enumerate(values)])


def week(chance: random.Random) -> dict[str, list[world.Reading]]:
    """Five days of half-hourly values that cross limits both ways, with gaps."""
    made = {}
    for name, low, high in (
        ("pm2_5", 20, 230),
        ("ozone", 20, 500),
        ("dissolved_oxygen", 2, 7),
        ("acidity", 6.5, 8),
        ("ammonia", 0.05, 0.4),
        ("water_temperature", 26, 29),
    ):
        value, values = (low + high) / 2, []
        for _ in range(240):
            step = (high - low) / 4
            value = min(high, max(low, value + chance.uniform(-step, step)))
            values.append(float(round(value, 2)))
        kept = half_hours(values)
        del kept[60:90]
        made[name] = [
            (time, value, chance.choice((1, 1, 1, 1, 1, 1, 2, 3))) for time, value, _ in kept
        ]
    return made


def test_readings_in_order_let_findings_grow_only(engine: Engine, park: dict[str, int]) -> None:
    pm = half_hours([20.0] * 48 + [150.0] * 48 + [10.0] * 60)
    do = half_hours([6.0] * 20 + [2.0] * 8 + [6.0] * 128)
    for first in range(0, len(pm), 12):
        for name, values in (("pm2_5", pm), ("dissolved_oxygen", do)):
            world.write(engine, park[name], values[first : first + 12])
        world.settle(engine)
    assert world.errors(engine) == {}
    stored = world.rows(engine, "SELECT *, evidence FROM finding ORDER BY id")
    assert [row["withdrawn_at"] for row in stored] == [None, None]
    water, air = stored
    assert (water["kind"], water["severity"]) == ("water_quality", "warning")
    assert (water["started_at"], water["ended_at"]) == (MIDNIGHT + 10 * HOUR, MIDNIGHT + 15 * HOUR)
    assert water["evidence"]["limit"] == "≥ 4 mg/L"
    assert (air["kind"], air["severity"]) == ("air_quality", "warning")
    assert air["evidence"]["pollutants"] == "pm2_5"
    daily = [row for row in world.rows(engine, DERIVED) if row["property"] == "ispu_daily"]
    assert [(row["time"], row["value"]) for row in daily] == [
        (MIDNIGHT, 56),
        (MIDNIGHT + 24 * HOUR, 200),
        (MIDNIGHT + 48 * HOUR, 32),
    ]
    assert air["ended_at"] > MIDNIGHT + 48 * HOUR


@pytest.mark.parametrize("seed", world.SEEDS)
def test_any_order_of_arrival_gives_the_same(
    engine: Engine, park: dict[str, int], seed: int
) -> None:
    chance = random.Random(seed)
    made = week(chance)
    for name, readings in made.items():
        world.write(engine, park[name], readings)
    world.settle(engine)
    assert world.errors(engine) == {}
    wanted = world.rows(engine, LIVE), world.rows(engine, DERIVED)
    assert {row["kind"] for row in wanted[0]} == {"air_quality", "water_quality"}
    assert {row["property"] for row in wanted[1]} >= {"ispu", "water_pollution_index"}
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE reading, finding, change, reading_hourly, job CASCADE"))
    left = [(name, reading) for name, readings in made.items() for reading in readings]
    chance.shuffle(left)
    while left:
        count = chance.randint(100, 300)
        part, left = left[:count], left[count:]
        for name in sorted({name for name, _ in part}):
            own = [reading for each, reading in part if each == name]
            world.write(engine, park[name], own)
        if chance.random() < 0.6:
            world.settle(engine)
    world.settle(engine)
    assert (world.rows(engine, LIVE), world.rows(engine, DERIVED)) == wanted


def test_limits_taken_away_take_their_series_and_findings(
    engine: Engine, park: dict[str, int], apply_site: Apply
) -> None:
    for name, value in (("acidity", 3.0), ("pm2_5", 20.0)):
        world.write(engine, park[name], half_hours([value] * 50))
    world.settle(engine)
    assert [row["kind"] for row in world.rows(engine, LIVE)] == ["water_quality"]
    without = copy.deepcopy(PARK)
    without["pilots"][0]["params"] = {}
    apply_site(without)
    world.settle(engine)
    assert world.rows(engine, LIVE) == []
    assert {row["property"] for row in world.rows(engine, DERIVED)} == {
        "ispu",
        "ispu_daily",
        "ispu_pollutant",
        "ispu_pollutant_daily",
    }


def test_a_device_that_reports_an_index_itself_is_refused(
    engine: Engine, apply_site: Apply
) -> None:
    site = copy.deepcopy(PARK)
    site["profiles"][0]["fields"]["index"] = {"property": "ispu", "unit": "1"}
    apply_site(site)
    world.write(engine, world.datastream(engine, "s1", "pm2_5"), half_hours([20.0]))
    world.settle(engine)
    assert world.errors(engine) == {
        "pilot:environment": "town/park: PilotParamsError: town/park: device s1 itself reports"
        " ispu: give that field a channel of its own"
    }
