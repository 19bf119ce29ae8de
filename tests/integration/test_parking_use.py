"""Pilot kind parking: use of bays and car parks, the same in whatever order readings arrive."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.integration import analytics_site as world
from tests.integration.parking_site import (
    DAY_MIN,
    DERIVED,
    MINUTE,
    START,
    derived,
    live,
    minutes,
    say,
    settle,
    site,
)

pytestmark = pytest.mark.database
Apply = Callable[[object], list[str]]


def test_use_of_bays_by_hour_and_day(engine: Engine, apply_site: Apply) -> None:
    """Two bays: one taken 08:30-10:00, the other 09:00-09:15."""
    apply_site(site("a", "b"))
    heartbeats = [(240.0 * n, 0.0) for n in range(7)]
    say(engine, "a", *heartbeats, (510, 1), (600, 0))
    say(engine, "b", *heartbeats, (540, 1), (555, 0))
    settle(engine)
    occupancy = derived(engine, "parking_occupancy")
    assert len(occupancy) == 24
    assert [cell for cell in occupancy if cell[1]] == [(8, 25.0, 1), (9, 62.5, 1)]
    arrivals = derived(engine, "parking_arrivals")
    assert [cell for cell in arrivals if cell[1]] == [(8, 1, 1), (9, 1, 1)]
    assert derived(engine, "parking_turnover") == [(0, 1.0, 1)]
    assert derived(engine, "parking_stay_mean") == [(0, 52.5, 1)]


def test_an_hour_is_derived_when_it_is_over(engine: Engine, apply_site: Apply) -> None:
    apply_site(site("a", "b"))
    say(engine, "a", (0, 0), (30, 1))
    say(engine, "b", (0, 0), (59, 0))
    settle(engine)
    assert derived(engine, "parking_occupancy") == []
    say(engine, "b", (61, 0))
    settle(engine)
    assert derived(engine, "parking_occupancy") == [(0, 25.0, 1)]


def test_a_silent_sensor_makes_its_bay_unknown(engine: Engine, apply_site: Apply) -> None:
    """A sign of life is due every four hours; after twelve the state is not believed."""
    apply_site(site("a", "b", limit_min=60))
    say(engine, "a", (0, 0), (60, 1))
    say(engine, "b", *((240.0 * n, 0.0) for n in range(7)))
    settle(engine)
    (found,) = live(engine)
    assert found["ended_at"] == START + (60 + 12 * 60) * MINUTE
    assert found["evidence"]["departure_seen"] is False
    occupancy = derived(engine, "parking_occupancy")
    assert occupancy[12:14] == [(12, 50.0, 1), (13, 0.0, 3)]
    assert derived(engine, "parking_stay_mean") == []


def test_zones_and_the_whole_pilot(engine: Engine, apply_site: Apply) -> None:
    apply_site(site("a", "b", "c", zones={"north": ["a", "b"], "south": ["c"]}))
    for bay in ("a", "b", "c"):
        say(engine, bay, (0, 1 if bay == "a" else 0), (60, 0))
    settle(engine)
    assert derived(engine, "parking_occupancy") == [(0, 33.333333, 1)]
    assert derived(engine, "parking_occupancy", "north") == [(0, 50.0, 1)]
    assert derived(engine, "parking_occupancy", "south") == [(0, 0.0, 1)]
    apply_site(site("a", "b", "c", zones={"east": ["a"]}))
    settle(engine)
    assert derived(engine, "parking_occupancy", "east") == [(0, 100.0, 1)]
    assert derived(engine, "parking_occupancy", "north") == []


def test_what_was_derived_with_a_bay_that_has_left_is_derived_without_it(
    engine: Engine, apply_site: Apply
) -> None:
    both = site("a", "b")
    apply_site(both)
    say(engine, "a", (0, 1), (60, 1))
    say(engine, "b", (0, 0), (60, 0), (120, 0))
    settle(engine)
    assert derived(engine, "parking_occupancy") == [(0, 50.0, 1), (1, 50.0, 1)]
    both["devices"][1]["pilot"] = None
    apply_site(both)
    settle(engine)
    assert derived(engine, "parking_occupancy") == [(0, 100.0, 1)]


def test_an_area_that_is_no_more_takes_its_findings(engine: Engine, apply_site: Apply) -> None:
    full = {"full": {"at_pct": 100, "for_min": 10}}
    apply_site(site("a", "b", zones={"north": ["a"], "south": ["b"]}, **full))
    say(engine, "a", (0, 1), (60, 1))
    say(engine, "b", (0, 0), (60, 0))
    settle(engine)
    assert [row["evidence"]["area"] for row in live(engine)] == ["north"]
    apply_site(site("a", "b", zones={"south": ["b"]}, **full))
    settle(engine)
    assert live(engine) == []


def test_counted_car_parks(engine: Engine, apply_site: Apply) -> None:
    apply_site(site(counts=("x", "y", "z"), capacity={"x": 100, "y": 300}))
    for device, values in (("x", (50, 70, 110)), ("y", (30, 60, 60)), ("z", (5, 5, 5))):
        number = world.datastream(engine, device, "parking_occupied")
        world.write(engine, number, minutes(*zip((0, 30, 60), values, strict=True), (120, 0)))
    settle(engine)
    found = world.rows(engine, DERIVED)
    assert {row["property"] for row in found} == {"parking_occupancy"}
    by_device = [(row["device"], row["channel"], row["value"], row["quality"]) for row in found]
    assert by_device == [
        ("x", "", 60.0, 1),
        ("x", "", 110.0, 3),  # more vehicles than spaces
        ("x", "all", 26.25, 1),
        ("x", "all", 42.5, 3),
        ("y", "", 15.0, 1),
        ("y", "", 20.0, 1),
    ]


def test_without_an_interval_a_bays_state_lasts_and_a_count_is_believed_for_two_hours(
    engine: Engine, apply_site: Apply
) -> None:
    made = site("a", counts=("x",), capacity={"x": 10})
    for profile in made["profiles"]:
        del profile["interval_s"]
    apply_site(made)
    number = world.datastream(engine, "x", "parking_occupied")
    world.write(engine, number, minutes((0, 5), (600, 5)))
    say(engine, "a", (0, 1), (600, 1))
    settle(engine)
    assert [hour for hour, _, _ in derived(engine, "parking_occupancy", "")] == [0, 1]
    whole = derived(engine, "parking_occupancy")
    assert whole == [(0, 54.545455, 1), (1, 54.545455, 1), *((h, 100.0, 3) for h in range(2, 10))]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"limits_min": 5}, "unknown param limits_min; there are capacity"),
        ({"limit_min": 0}, "limit_min must be a number, above 0"),
        ({"limit_min": {"a": "long"}}, "limit_min of a must be a number"),
        ({"limit_min": {"q": 5}}, "limit_min: q is no device of this pilot"),
        ({"capacity": {"a": -3}}, "capacity of a must be a number"),
        ({"grace_min": -1}, "grace_min must be a number, 0 or more"),
        ({"zones": {"north": ["q"]}}, "zone north: q is no device of this pilot"),
        ({"zones": {"north": []}}, "zone north must list device keys"),
        ({"zones": {"all": ["a"]}}, "zone all: 'all' is the whole pilot"),
        ({"zones": ["a"]}, "zones must give a list of device keys by zone"),
        ({"full": {"at": 3}}, "full: unknown param at; there are at_pct, for_min"),
        ({"full": 90}, "full must give at_pct and for_min"),
        ({"hold_min": 1e9}, "hold_min must be a number, above 0, at most 1e+06"),
        ({"grace_min": 10**400}, "grace_min must be a number, 0 or more"),
        ({"zones": {"north": [["a"]]}}, "zone north must list device keys"),
        ({"hold_min": True}, "hold_min must be a number, above 0"),
    ],
)
def test_unusable_params_are_named(
    engine: Engine, apply_site: Apply, params: dict[str, Any], said: str
) -> None:
    apply_site(site("a", **params))
    say(engine, "a", (0, 0))
    settle(engine)
    assert f"town/parking: {said}" in world.errors(engine)["pilot:parking"]


def faulty(seed: int, days: int) -> dict[str, list[world.Reading]]:
    """Three bays with heartbeats, flapping, repeats, lost departures and silences."""
    chance = random.Random(seed)
    said: dict[str, list[world.Reading]] = {}
    for bay in ("a", "b", "c"):
        at, state, readings = chance.uniform(0, 300), 0.0, []
        while at < days * DAY_MIN:
            readings.append((at, state))
            if chance.random() < 0.15:
                state = 1 - state
                for _ in range(chance.choice((0, 0, 1, 2))):  # flapping, a sensor that restarts
                    at += chance.uniform(0.05, 1.5)
                    readings.append((at, 1 - readings[-1][1]))
            elif chance.random() < 0.5:
                state = 1 - state
            at += chance.choice((3, 20, 45, 90, 200, 230))
            if chance.random() < 0.01:
                at += chance.uniform(500, 2500)
        said[bay] = [
            (START + MINUTE * round(at, 3), value, 4 if chance.random() < 0.02 else 1)
            for at, value in readings
        ]
    return said


@pytest.mark.parametrize("seed", world.SEEDS)
def test_any_order_of_arrival_gives_the_same_readings_and_findings(
    engine: Engine, apply_site: Apply, seed: int
) -> None:
    chance = random.Random(seed)
    params: dict[str, Any] = {
        "limit_min": {"a": 60, "b": 200},
        "zones": {"n": ["b", "c"]},
        "full": {"at_pct": 60, "for_min": 40},
    }
    apply_site(site("a", "b", "c", **params))
    said = faulty(seed, days=4)
    number = {bay: world.datastream(engine, bay, "bay_occupied") for bay in said}
    for bay, readings in said.items():
        world.write(engine, number[bay], readings)
    settle(engine)
    wanted = world.rows(engine, DERIVED), live(engine)
    assert {row["kind"] for row in wanted[1]} == {"overstay", "full"}
    assert {row["quality"] for row in wanted[0]} == {1, 3}
    every = sorted((reading, bay) for bay, readings in said.items() for reading in readings)
    for disorder in (0, 40, len(every)):  # in time order, nearly so, not at all
        with engine.begin() as connection:
            connection.execute(
                text("TRUNCATE reading, finding, change, reading_hourly, job CASCADE")
            )
        order = sorted(range(len(every)), key=lambda i: i + chance.uniform(0, disorder))
        while order:
            count = chance.randint(1, 60)
            for i in order[:count]:
                world.write(engine, number[every[i][1]], [every[i][0]])
            order = order[count:]
            if chance.random() < 0.7:
                settle(engine)
        settle(engine)
        assert (world.rows(engine, DERIVED), live(engine)) == wanted
