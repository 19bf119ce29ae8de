"""Pilot kind leakage: net inflow, night flow and leaks, the same in any order of arrival."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from tests.integration import analytics_site as world

pytestmark = pytest.mark.database
Apply = Callable[[object], list[str]]
START = datetime(2026, 3, 1, 17, tzinfo=UTC)  # Monday, 00:00 in Jakarta
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NIGHTS = 60
AREA = {"inflows": ["in"], "outflows": ["out"], "tanks": {"tank": 3.6}}

DERIVED = """
    SELECT property, channel, time, value FROM reading
    JOIN datastream ON datastream.id = datastream_id
    WHERE derived_by = 'leakage' ORDER BY property, channel, time
"""
LIVE = """
    SELECT kind, severity, confidence, started_at, ended_at, evidence, origin, property, channel
    FROM finding JOIN datastream ON datastream.id = datastream_id
    WHERE withdrawn_at IS NULL ORDER BY started_at, channel
"""


def site(params: dict[str, Any]) -> dict[str, Any]:
    made = world.site()
    made["profiles"] = [
        {"key": "meter", "interval_s": 3600, "fields": {"q": {"property": "flow"}}},
        {"key": "gauge", "interval_s": 3600, "fields": {"h": {"property": "water_level"}}},
    ]
    made["pilots"] = [
        {"key": "leaks", "service": "WAT-01", "kind": "leakage", "phase": 1}
        | {"origin": "simulated", "params": params}
    ]
    made["devices"] = [
        {"key": key, "pilot": "leaks", "profile": profile, "source": "plain"}
        | {"origin": "simulated"}
        for key, profile in (("in", "meter"), ("out", "meter"), ("tank", "gauge"))
    ]
    return made


@pytest.fixture
def streams(apply_site: Apply, engine: Engine) -> dict[str, int]:
    apply_site(site({"areas": {"town": AREA}}))
    names = {"in": "flow", "out": "flow", "tank": "water_level"}
    return {device: world.datastream(engine, device, name) for device, name in names.items()}


def at(day: int, hour: float = 0.0) -> datetime:
    return START + DAY * day + HOUR * hour


def town(leaks: dict[tuple[int, int], float]) -> dict[str, list[world.Reading]]:
    """Hourly flows of 60 days with leaks {(first day, past day): L/s} and a level at rest."""
    generator = np.random.default_rng(1)
    hours = np.arange(24 * NIGHTS + 6)
    day, hour = np.divmod(hours, 24)
    use = 12 + 6 * np.sin((hour - 8) * np.pi / 12) + np.where(day % 7 >= 5, 2.0, 0.0)
    flow = use + generator.normal(0, 0.2, len(hours))
    for (first, past), size in leaks.items():
        flow[(day >= first) & (day < past)] += size
    times = [START + HOUR * int(h) for h in hours]
    return {
        "in": world.good((t, round(float(q), 3)) for t, q in zip(times, flow, strict=True)),
        "out": world.good((t, 2.0) for t in times),
        "tank": world.good((t, 1.5) for t in times),
    }


def write(engine: Engine, streams: dict[str, int], readings: dict[str, list[Any]]) -> None:
    for device, part in readings.items():
        if part:
            world.write(engine, streams[device], part)


def live(engine: Engine) -> list[dict[str, Any]]:
    assert world.errors(engine) == {}
    return world.rows(engine, LIVE)


def derived(engine: Engine, name: str) -> dict[datetime, float]:
    assert world.errors(engine) == {}
    rows = world.rows(engine, DERIVED)
    return {row["time"]: row["value"] for row in rows if row["property"] == name}


def test_net_inflow_is_what_stays_in_the_area(engine: Engine, streams: dict[str, int]) -> None:
    hours = range(7)
    readings = {
        "in": world.good((at(0, h), 10.0 + h) for h in hours),
        "out": world.good((at(0, h), 3.0) for h in hours if h != 4),
        "tank": world.good((at(0, h), 1.0 + h / 2) for h in hours),  # takes up 0.5 L/s
    }
    write(engine, streams, readings)
    world.settle(engine)
    expected = {at(0, h): 10.0 + h - 3.0 - 0.5 for h in (0, 1, 2, 3, 5)}
    assert derived(engine, "net_inflow") == pytest.approx(expected)
    assert derived(engine, "night_flow") == pytest.approx({at(0): (8.5 + 9.5) / 2})
    late = {"out": world.good([(at(0, 4), 3.0)])}
    write(engine, streams, late)
    world.settle(engine)
    assert derived(engine, "net_inflow")[at(0, 4)] == pytest.approx(10.5)


def test_the_hour_before_a_silence_is_known_after_it(
    apply_site: Apply, engine: Engine, streams: dict[str, int]
) -> None:
    apply_site(site({}))
    hours = (0, 1, 2, 75, 76, 77)
    readings = {"in": world.good((at(0, h), 10.0) for h in hours)}
    readings["out"] = readings["in"]
    for first, past in ((0, 3), (3, 6)):
        write(engine, streams, {device: part[first:past] for device, part in readings.items()})
        world.settle(engine)
    assert derived(engine, "net_inflow") == {at(0, h): 20.0 for h in (0, 1, 2, 75, 76)}


def test_a_missing_night_is_a_gap_and_fills_when_it_arrives(
    engine: Engine, streams: dict[str, int]
) -> None:
    readings = town({})
    missing = [each for each in readings["out"] if at(3, 2) <= each[0] < at(3, 3)]
    readings["out"] = [each for each in readings["out"] if each not in missing]
    write(engine, streams, readings)
    world.settle(engine)
    nights = derived(engine, "night_flow")
    assert [at(day) for day in range(NIGHTS) if at(day) not in nights] == [at(3)]
    assert live(engine) == []
    write(engine, streams, {"out": missing})
    world.settle(engine)
    filled = derived(engine, "night_flow")
    assert filled.pop(at(3)) == pytest.approx(nights[at(2)], abs=1)
    assert filled == nights


def test_leaks_are_found_ended_by_their_repair_and_found_again(
    engine: Engine, streams: dict[str, int]
) -> None:
    write(engine, streams, town({(25, 40): 3.0, (48, 99): 6.0}))
    world.settle(engine)
    first, second = live(engine)
    assert (first["started_at"], first["ended_at"]) == (at(25, 2), at(40, 2))
    assert (second["started_at"], second["ended_at"]) == (at(48, 2), None)
    assert (first["severity"], second["severity"]) == ("alarm", "critical")
    for each, flow in ((first, 3.0), (second, 6.0)):
        said = each["evidence"]
        assert (each["kind"], each["confidence"], each["origin"]) == ("leakage", None, "simulated")
        assert (each["property"], each["channel"]) == ("night_flow", "town")
        assert said["flow_l_s"] == pytest.approx(flow, abs=0.5)
        assert said["baseline_l_s"] == pytest.approx(4.2, abs=0.5)
        assert datetime.fromisoformat(said["detected_at"]) <= each["started_at"] + DAY + 2 * HOUR
    assert first["evidence"]["repair"] == "seen"
    assert first["evidence"]["nights"][-1][1] == pytest.approx(7.2, abs=0.8)


def test_a_rise_in_steps_is_one_leak_that_grows(engine: Engine, streams: dict[str, int]) -> None:
    readings = town({(25, 99): 1.5, (28, 99): 5.0})
    parts = {device: [e for e in part if e[0] < at(28)] for device, part in readings.items()}
    write(engine, streams, parts)
    world.settle(engine)
    (before,) = live(engine)
    write(engine, streams, readings)
    world.settle(engine)
    (leak,) = live(engine)
    assert (before["severity"], leak["severity"]) == ("alarm", "critical")
    assert leak["evidence"]["flow_l_s"] == pytest.approx(6.5, abs=0.6)
    assert leak["evidence"]["detected_at"] == before["evidence"]["detected_at"]
    assert world.rows(engine, "SELECT count(*) AS n FROM finding") == [{"n": 1}]


def test_a_told_repair_ends_the_leak_at_its_time(
    apply_site: Apply, engine: Engine, streams: dict[str, int]
) -> None:
    write(engine, streams, town({(25, 40): 3.0}))
    world.settle(engine)
    repair = {"area": "town", "at": "2026-04-10T16:30"}  # day 39, local
    apply_site(site({"areas": {"town": AREA}, "repairs": [repair]}))
    world.settle(engine)
    (leak,) = live(engine)
    assert leak["ended_at"] == at(39, 16.5)
    assert leak["evidence"]["repair"] == "told"


@pytest.mark.parametrize("seed", world.SEEDS)
def test_any_order_with_repeats_gives_the_same(
    engine: Engine, streams: dict[str, int], seed: int
) -> None:
    readings = town({(25, 40): 3.0, (48, 99): 6.0})
    for device, part in readings.items():  # the hour before a silence ends with the silence
        readings[device] = [e for e in part if not at(10, 7) <= e[0] < at(12, 9)]
    write(engine, streams, readings)
    world.settle(engine)
    said = (world.rows(engine, DERIVED), live(engine))
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE reading, change, finding, job, reading_hourly CASCADE"))
    order = random.Random(seed)
    pieces = [
        (device, part[first : first + 200])
        for device, part in readings.items()
        for first in range(0, len(part), 200)
    ]
    order.shuffle(pieces)
    for place, (device, part) in enumerate([*pieces, *pieces[:4]]):
        write(engine, streams, {device: part})
        if place % 4 == 0:
            world.settle(engine)
    world.settle(engine)
    assert (world.rows(engine, DERIVED), live(engine)) == said


def test_a_leak_grows_into_its_end_without_being_withdrawn(
    engine: Engine, streams: dict[str, int]
) -> None:
    readings = town({(25, 40): 3.0})
    for first, past in ((0, 24 * 30), (24 * 30, 24 * NIGHTS)):
        write(engine, streams, {device: part[first:past] for device, part in readings.items()})
        world.settle(engine)
    stored = world.rows(engine, "SELECT ended_at, withdrawn_at FROM finding")
    assert [(row["ended_at"], row["withdrawn_at"]) for row in stored] == [(at(40, 2), None)]


def test_late_truth_withdraws_a_leak_that_never_was(
    engine: Engine, streams: dict[str, int]
) -> None:
    readings = town({})
    lent = [(time, value + 3.0, q) for time, value, q in readings["in"] if time >= at(50)]
    write(engine, streams, {**readings, "in": [e for e in readings["in"] if e[0] < at(50)] + lent})
    # The water went on to the next area, whose meter was silent for a while.
    world.settle(engine)
    assert len(live(engine)) == 1
    with engine.begin() as connection:
        connection.execute(
            text("DELETE FROM reading WHERE datastream_id = :id AND time >= :since"),
            {"id": streams["out"], "since": at(50)},
        )
    write(engine, streams, {"out": [(t, 5.0, q) for t, _, q in readings["out"] if t >= at(50)]})
    world.settle(engine)
    assert live(engine) == []


def test_an_area_no_longer_named_is_forgotten(
    apply_site: Apply, engine: Engine, streams: dict[str, int]
) -> None:
    write(engine, streams, town({(25, 40): 3.0}))
    world.settle(engine)
    apply_site(site({"areas": {"centre": {"inflows": ["out"]}}}))
    world.settle(engine)
    assert {row["channel"] for row in world.rows(engine, DERIVED)} == {"centre"}
    assert live(engine) == []


def test_bad_params_are_one_line_of_the_job(
    apply_site: Apply, engine: Engine, streams: dict[str, int]
) -> None:
    apply_site(site({"areas": {"town": {**AREA, "inflow": ["in"]}}}))
    write(engine, streams, {"in": world.good([(at(0), 1.0)])})
    world.settle(engine)
    said = world.errors(engine)["pilot:leakage"]
    assert said == (
        "town/leaks: PilotParamsError: town/leaks: areas.town: unknown inflow;"
        " known: inflows, night, outflows, tanks"
    )
