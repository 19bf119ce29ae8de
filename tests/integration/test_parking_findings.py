"""Pilot kind parking: overstays and full areas, found as time passes."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from services.analytics import pilot, pilot_job
from services.analytics.runner import Job, run_slice
from tests.integration import analytics_site as world
from tests.integration.parking_site import DERIVED, MINUTE, START, live, minutes, say, settle, site

pytestmark = pytest.mark.database
Apply = Callable[[object], list[str]]


def test_an_overstay_is_found_when_another_bays_message_passes_its_limit(
    engine: Engine, apply_site: Apply
) -> None:
    apply_site(site("a", "b", limit_min=120))
    say(engine, "a", (0, 0), (60, 1))
    say(engine, "b", (180, 0))
    settle(engine)
    assert live(engine) == []  # just at its limit
    say(engine, "b", (180.1, 0))
    settle(engine)
    (found,) = live(engine)
    assert (found["device"], found["kind"], found["severity"]) == ("a", "overstay", "warning")
    assert (found["started_at"], found["ended_at"]) == (START + 180 * MINUTE, None)
    assert found["evidence"] == {
        "occupied_since": (START + 60 * MINUTE).isoformat(),
        "arrival_seen": True,
        "departure_seen": None,
        "limit_min": 120.0,
        "stay_min": None,
    }


def test_an_overstay_ends_in_place_when_the_car_leaves(engine: Engine, apply_site: Apply) -> None:
    apply_site(site("a", "b", limit_min=120))
    say(engine, "a", (0, 0), (60, 1), (240, 1))
    settle(engine)
    say(engine, "a", (300, 0))
    settle(engine)
    stored = world.rows(engine, "SELECT ended_at, withdrawn_at, evidence FROM finding")
    assert [(row["ended_at"], row["withdrawn_at"]) for row in stored] == [
        (START + 300 * MINUTE, None)
    ]
    assert stored[0]["evidence"]["stay_min"] == 240.0
    assert stored[0]["evidence"]["departure_seen"] is True
    say(engine, "a", (400, 1), (410, 0))
    settle(engine)
    assert len(live(engine)) == 1


def test_a_late_departure_withdraws_an_overstay(engine: Engine, apply_site: Apply) -> None:
    apply_site(site("a", "b", limit_min=60))
    say(engine, "a", (0, 0), (60, 1))
    say(engine, "b", (200, 0))
    settle(engine)
    assert len(live(engine)) == 1
    say(engine, "a", (100, 0))
    settle(engine)
    assert live(engine) == []


def test_a_measured_pilots_limits_pass_by_the_clock(engine: Engine, apply_site: Apply) -> None:
    apply_site(site("a", origin="measured", limit_min=60))
    say(engine, "a", (0, 0), (60, 1))
    clock = [START + 119 * MINUTE]
    kind = pilot.kinds()["parking"]
    job = Job("test", lambda c, progress: pilot_job.work(c, progress, kind, clock[0]))

    def run() -> None:
        while run_slice(engine, job):
            pass

    run()
    assert live(engine) == []
    clock[0] = START + 121 * MINUTE
    run()
    assert [row["started_at"] for row in live(engine)] == [START + 120 * MINUTE]


def test_a_full_car_park_is_found_once_it_has_been_for_a_while(
    engine: Engine, apply_site: Apply
) -> None:
    apply_site(site("a", "b", full={"at_pct": 90, "for_min": 15}))
    say(engine, "a", (0, 0), (60, 1))
    say(engine, "b", (0, 0), (70, 1), (84, 1))
    settle(engine)
    assert live(engine) == []
    say(engine, "b", (86, 1))
    settle(engine)
    (found,) = live(engine)
    assert (found["kind"], found["started_at"]) == ("full", START + 70 * MINUTE)
    assert found["evidence"] == {"area": "all", "capacity": 2, "at_pct": 90, "for_min": 15}
    say(engine, "b", (100, 0), (110, 1), (140, 0), (150, 0))  # a break of ten minutes is none
    settle(engine)
    assert [row["ended_at"] for row in live(engine)] == [None]
    say(engine, "b", (156, 0))
    settle(engine)
    assert [row["ended_at"] for row in live(engine)] == [START + 140 * MINUTE]
    assert len(world.rows(engine, "SELECT FROM finding")) == 1
    apply_site(site("a", "b"))
    settle(engine)
    assert live(engine) == []


def test_a_full_counted_car_park(engine: Engine, apply_site: Apply) -> None:
    apply_site(site(counts=("x",), capacity={"x": 100}, full={}))
    number = world.datastream(engine, "x", "parking_occupied")
    world.write(engine, number, minutes((0, 50), (30, 90), (60, 95), (90, 80), (120, 20)))
    settle(engine)
    (found,) = live(engine)
    assert (found["started_at"], found["ended_at"]) == (START + 30 * MINUTE, START + 90 * MINUTE)


def test_a_car_park_of_unknown_capacity_is_never_full(engine: Engine, apply_site: Apply) -> None:
    apply_site(site(counts=("x",), full={}))
    number = world.datastream(engine, "x", "parking_occupied")
    world.write(engine, number, minutes((0, 500), (60, 500)))
    settle(engine)
    assert live(engine) == []
    assert world.rows(engine, DERIVED) == []
