"""Pilot kind metering: consumption per local hour and day, the same in any order of arrival."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.integration import analytics_site as world

pytestmark = pytest.mark.database
Apply = Callable[[object], list[str]]
START = datetime(2026, 3, 1, 17, tzinfo=UTC)  # Monday, 00:00 in Jakarta
HOUR = timedelta(hours=1)

DERIVED = """
    SELECT property, time, value, quality
    FROM reading JOIN datastream ON datastream.id = datastream_id
    WHERE derived_by = 'metering' ORDER BY property, time
"""
LIVE = """
    SELECT kind, severity, started_at, ended_at, evidence FROM finding
    WHERE withdrawn_at IS NULL ORDER BY started_at, kind
"""


@pytest.fixture
def meter(apply_site: Apply, engine: Engine) -> int:
    apply_site(world.site(("m1", "meter")))
    return world.datastream(engine, "m1", "water_volume_index")


def index(*readings: tuple[float, float]) -> list[world.Reading]:
    """Readings at (hours after START, m3)."""
    return world.good([(START + HOUR * hour, value) for hour, value in readings])


def derived(engine: Engine, name: str) -> list[tuple[datetime, float, int]]:
    assert world.errors(engine) == {}
    return [
        (row["time"], round(row["value"], 9), row["quality"])
        for row in world.rows(engine, DERIVED)
        if row["property"] == name
    ]


def hourly(engine: Engine) -> list[tuple[float, float, int]]:
    """(hours after START, m3, quality) of each derived hour."""
    return [
        ((time - START) / HOUR, value, quality)
        for time, value, quality in derived(engine, "water_consumption")
    ]


def live(engine: Engine) -> list[dict[str, Any]]:
    return world.rows(engine, LIVE)


def test_hours_are_interpolated_and_partial_ones_left_out(engine: Engine, meter: int) -> None:
    world.write(engine, meter, index((0.5, 1.0), (1.5, 1.2), (2.5, 1.6), (3.5, 1.7)))
    world.settle(engine)
    assert hourly(engine) == [(1, 0.3, 1), (2, 0.25, 1)]


def test_consumption_is_rolled_up_like_any_series(engine: Engine, meter: int) -> None:
    world.write(engine, meter, index((0, 1.0), (1, 1.25), (2, 1.75)))
    world.settle(engine)
    rolled = world.rows(
        engine,
        """
        SELECT hour, sum, n FROM reading_hourly JOIN datastream ON id = datastream_id
        WHERE property = 'water_consumption' ORDER BY hour
        """,
    )
    assert [tuple(row.values()) for row in rolled] == [(START, 0.25, 1), (START + HOUR, 0.5, 1)]


def test_a_day_adds_up_and_a_gap_inside_it_is_no_guess(engine: Engine, meter: int) -> None:
    world.write(engine, meter, index((0, 1.0), (1, 1.1), (7, 1.7), (23, 3.0), (24, 3.5)))
    world.settle(engine)
    assert derived(engine, "water_consumption_daily") == [(START, 2.5, 1)]
    assert [quality for _, _, quality in hourly(engine)] == [1] + [3] * 22 + [1]


@pytest.mark.parametrize(
    ("zone", "start", "hours"),
    [
        ("Asia/Yangon", "2026-03-01T17:30", 24),
        ("Europe/London", "2025-10-25T23:00", 25),
        ("Europe/London", "2026-03-29T00:00", 23),
    ],
)
def test_days_follow_the_zone(
    apply_site: Apply, engine: Engine, zone: str, start: str, hours: int
) -> None:
    apply_site(world.site(("m1", "meter"), zone=zone))
    begins = datetime.fromisoformat(start).replace(tzinfo=UTC)
    readings = world.good([(begins + i * HOUR / 2, 0.01 * i) for i in range(2 * hours + 1)])
    world.write(engine, world.datastream(engine, "m1", "water_volume_index"), readings)
    world.settle(engine)
    assert derived(engine, "water_consumption_daily") == [(begins, round(0.02 * hours, 9), 1)]
    times = [time for time, _, _ in derived(engine, "water_consumption")]
    assert times == [begins + i * HOUR for i in range(hours)]


def test_a_reset_leaves_its_hour_missing_and_is_found(engine: Engine, meter: int) -> None:
    readings = index((0, 5.0), (1, 5.1), (2, 0.0), (3, 0.1), (4, 0.3))
    world.write(engine, meter, readings[:4])
    world.settle(engine)
    assert hourly(engine) == [(0, 0.1, 1)]  # two readings on a new level are not yet believed
    assert live(engine) == []
    world.write(engine, meter, readings[4:])
    world.settle(engine)
    assert hourly(engine) == [(0, 0.1, 1), (2, 0.1, 1), (3, 0.2, 1)]
    (reset,) = live(engine)
    assert (reset["kind"], reset["severity"]) == ("meter_reset", "warning")
    assert (reset["started_at"], reset["ended_at"]) == (START + HOUR, START + 2 * HOUR)
    assert reset["evidence"] == {"hours": 1.0, "index_before_m3": 5.1, "index_after_m3": 0.0}


def test_late_readings_replace_an_estimate_and_withdraw_the_gap(engine: Engine, meter: int) -> None:
    readings = index(*((hour, round(1 + hour * hour / 1000, 6)) for hour in range(31)))
    world.write(engine, meter, readings[:2] + readings[29:])
    world.settle(engine)
    (gap,) = live(engine)
    assert (gap["kind"], gap["evidence"]) == ("meter_gap", {"hours": 28.0, "volume_m3": 0.84})
    assert [quality for _, _, quality in hourly(engine)][1:29] == [3] * 28
    world.write(engine, meter, readings[2:29])
    world.settle(engine)
    assert "meter_gap" not in [row["kind"] for row in live(engine)]
    assert [quality for _, _, quality in hourly(engine)] == [1] * 30
    assert hourly(engine)[10][1] == pytest.approx(0.021)


def test_flow_without_a_dry_hour_is_found_and_ends(engine: Engine, meter: int) -> None:
    flowing = [(hour, 1 + 0.002 * hour) for hour in range(26)]
    world.write(engine, meter, index(*flowing))
    world.settle(engine)
    (flow,) = live(engine)
    assert (flow["kind"], flow["ended_at"]) == ("continuous_flow", None)
    assert flow["evidence"] == {"hours": 25.0, "volume_m3": 0.05, "pulse_m3": 0.001}
    world.write(engine, meter, index((26, 1.05)))
    world.settle(engine)
    assert [row["ended_at"] for row in live(engine)] == [START + 25 * HOUR]


def test_a_device_that_reports_consumption_itself_is_not_overwritten(
    engine: Engine, apply_site: Apply
) -> None:
    site = world.site(("m1", "meter"))
    site["profiles"][1]["fields"]["used"] = {"property": "water_consumption"}
    apply_site(site)
    meter = world.datastream(engine, "m1", "water_volume_index")
    world.write(engine, meter, index((0, 1.0), (1, 1.1)))
    world.settle(engine)
    assert "itself reports water_consumption:" in world.errors(engine)["pilot:metering"]
    assert world.rows(engine, DERIVED) == []


def test_a_run_that_began_before_the_week_keeps_its_start(engine: Engine, meter: int) -> None:
    begins = 7 * 24 - 12  # Sunday noon
    for hour in range(begins, begins + 30):
        world.write(engine, meter, index((hour, 1 + 0.002 * hour)))
        world.settle(engine)
    (flow,) = live(engine)
    assert (flow["started_at"], flow["evidence"]["hours"]) == (START + begins * HOUR, 29.0)


def test_a_sparse_meter_is_recomputed_far_enough_back(engine: Engine, meter: int) -> None:
    """The third reading on the new level, days later, makes the hours since the first known."""
    readings = index((0, 5.0), (12, 5.1), (20, 0.1), (35, 0.4), (75, 0.8), (80, 0.9))
    world.write(engine, meter, readings)
    world.settle(engine)
    wanted = hourly(engine)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE reading, finding, change, reading_hourly, job CASCADE"))
    for reading in readings:
        world.write(engine, meter, [reading])
        world.settle(engine)
    assert hourly(engine) == wanted
    assert [hour for hour, _, _ in wanted] == [*range(12), *range(20, 80)]


def faulty(seed: int) -> list[world.Reading]:
    """Five weeks of a meter with everything that goes wrong with one."""
    chance = random.Random(seed)
    readings, total, hour = [], 10.0, 0.0
    leak = range(300, 380)
    while hour < 35 * 24:
        hour += 1 + chance.uniform(-0.1, 0.1)
        if chance.random() < 0.01:
            hour += chance.choice((2, 5, 30))  # gaps
        if chance.random() < 0.003:
            total = chance.uniform(0, 1)  # reset
        total += chance.choice((0, 0, 0.004, 0.020, 0.150)) + (0.003 if hour in leak else 0)
        shown = total
        if chance.random() < 0.05:
            shown -= chance.uniform(0.001, 0.020)  # jitter
        if chance.random() < 0.01:
            shown = chance.choice((0.0, total + 248))  # outlier or alien
        quality = 4 if chance.random() < 0.01 else 1
        readings.append((START + HOUR * hour, round(shown, 3), quality))
        if 300 < hour < 380:
            total += 0.003
    return readings


@pytest.mark.parametrize("seed", world.SEEDS)
def test_any_order_of_arrival_gives_the_same_readings_and_findings(
    engine: Engine, meter: int, seed: int
) -> None:
    chance = random.Random(seed)
    readings = faulty(seed)
    world.write(engine, meter, readings)
    world.settle(engine)
    wanted = world.rows(engine, DERIVED), live(engine)
    told = {row["kind"] for row in wanted[1]}
    assert told >= {"meter_gap", "meter_reset"}
    if seed == 0:  # in others a fault may interrupt the leak
        assert "continuous_flow" in told
    for disorder in (0, 40, len(readings)):  # in time order, nearly so, not at all
        with engine.begin() as connection:
            connection.execute(
                text("TRUNCATE reading, finding, change, reading_hourly, job CASCADE")
            )
        order = sorted(range(len(readings)), key=lambda i: i + chance.uniform(0, disorder))
        while order:
            count = chance.randint(1, 120)
            world.write(engine, meter, [readings[i] for i in order[:count]])
            order = order[count:]
            if chance.random() < 0.7:
                world.settle(engine)
        world.settle(engine)
        assert (world.rows(engine, DERIVED), live(engine)) == wanted


def test_an_unchanged_recomputation_announces_nothing(engine: Engine, meter: int) -> None:
    world.write(engine, meter, index((0, 1.0), (1, 1.1), (2, 1.2)))
    world.settle(engine)
    before = world.rows(engine, "SELECT count(*) FROM change")
    world.write(engine, meter, index((1, 1.1)))  # a repeat
    world.settle(engine)
    after = world.rows(engine, "SELECT count(*) FROM change")
    assert after[0]["count"] == before[0]["count"] + 1
