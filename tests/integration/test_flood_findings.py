"""Pilot kind flood: episodes by dated thresholds, the same findings in any order of arrival."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.integration import analytics_site as world

pytestmark = pytest.mark.database
Apply = Callable[[object], list[str]]
START = datetime(2026, 3, 1, tzinfo=UTC)
STEP = timedelta(minutes=15)

LIVE = """
    SELECT kind, severity, started_at, ended_at, evidence, confidence, origin FROM finding
    WHERE withdrawn_at IS NULL ORDER BY started_at, kind
"""


def at(step: int) -> datetime:
    return START + step * STEP


def levels(*values: float, first: int = 0) -> list[world.Reading]:
    return world.good([(at(first + i), value) for i, value in enumerate(values)])


@pytest.fixture
def gauge(apply_site: Apply, engine: Engine) -> int:
    apply_site(world.site(("g1", "gauge")))
    return world.datastream(engine, "g1", "water_level")


def live(engine: Engine) -> list[dict[str, Any]]:
    assert world.errors(engine) == {}
    return world.rows(engine, LIVE)


def test_an_episode_is_one_finding_with_its_evidence(engine: Engine, gauge: int) -> None:
    world.write(engine, gauge, levels(0.5, 0.8, 1.6, 1.2, 0.75, 0.6, 0.6, 0.5))
    world.settle(engine)
    (found,) = live(engine)
    assert (found["severity"], found["origin"]) == ("alarm", "simulated")
    assert (found["started_at"], found["ended_at"]) == (at(1), at(6))
    assert found["confidence"] is None
    evidence = found["evidence"]
    assert (evidence["peak_state"], evidence["peak_level_m"]) == (2, 1.6)
    assert evidence["peak_at"] == at(2).isoformat()
    assert evidence["thresholds"][0]["source"] == "test"
    assert [(each["at"], each["state"]) for each in evidence["transitions"]] == [
        (at(1).isoformat(), 3),
        (at(2).isoformat(), 2),
        (at(4).isoformat(), 3),
        (at(6).isoformat(), 4),
    ]


def test_unusable_readings_are_not_judged(engine: Engine, gauge: int) -> None:
    world.write(engine, gauge, [(at(0), 3.0, 3), (at(1), 3.0, 4), (at(2), 0.5, 1)])
    world.settle(engine)
    assert live(engine) == []


def test_an_open_finding_grows_in_place(engine: Engine, gauge: int) -> None:
    for step, value in enumerate((0.9, 1.6, 2.1, 0.5, 0.5)):
        world.write(engine, gauge, levels(value, first=step))
        world.settle(engine)
    stored = world.rows(engine, "SELECT severity, ended_at, withdrawn_at FROM finding")
    assert stored == [{"severity": "critical", "ended_at": at(4), "withdrawn_at": None}]


def test_a_finding_undone_by_late_data_points_to_its_successors(engine: Engine, gauge: int) -> None:
    """Two late low readings part one long episode into two."""
    world.write(engine, gauge, levels(0.9, 0.85, first=0) + levels(1.6, 0.5, 0.5, first=4))
    world.settle(engine)
    world.write(engine, gauge, levels(0.5, 0.5, first=2))
    world.settle(engine)
    stored = world.rows(engine, "SELECT * FROM finding ORDER BY id")
    assert [(row["started_at"], row["ended_at"]) for row in stored] == [
        (at(0), at(6)),
        (at(0), at(3)),
        (at(4), at(6)),
    ]
    assert stored[0]["withdrawn_at"] is not None
    assert stored[0]["superseded_by"] == stored[1]["id"]
    assert [row["withdrawn_at"] for row in stored[1:]] == [None, None]


def test_a_finding_that_fell_away_has_no_successor(
    engine: Engine, gauge: int, apply_site: Apply
) -> None:
    world.write(engine, gauge, levels(0.9, 0.5, 0.5))
    world.settle(engine)
    assert len(live(engine)) == 1
    raised = world.site(("g1", "gauge"))
    raised["pilots"][0]["params"]["thresholds"]["g1"][0]["siaga3"] = 1.0
    apply_site(raised)
    world.settle(engine)
    assert live(engine) == []
    (old,) = world.rows(engine, "SELECT * FROM finding")
    assert old["withdrawn_at"] is not None
    assert old["superseded_by"] is None


def test_an_identical_finding_is_untouched(engine: Engine, gauge: int) -> None:
    world.write(engine, gauge, levels(0.9, 0.5, 0.5))
    world.settle(engine)
    before = world.rows(engine, "SELECT xmin::text, * FROM finding")
    world.write(engine, gauge, levels(0.4, first=3))
    world.settle(engine)
    assert world.rows(engine, "SELECT xmin::text, * FROM finding") == before


def test_thresholds_hold_from_their_date_in_local_time(engine: Engine, apply_site: Apply) -> None:
    site = world.site(("g1", "gauge"))
    site["pilots"][0]["params"]["thresholds"]["g1"] = [
        {"valid_from": 2014, "siaga3": 5.0, "siaga2": None, "siaga1": None, "source": "a"},
        {"valid_from": "2026-03-01", "siaga3": 0.8, "siaga2": None, "siaga1": None, "source": "b"},
    ]
    apply_site(site)
    gauge = world.datastream(engine, "g1", "water_level")
    midnight = datetime(2026, 2, 28, 17, tzinfo=UTC)
    world.write(engine, gauge, world.good([(midnight - STEP, 9.0 / 2), (midnight, 9.0)]))
    world.settle(engine)
    (found,) = live(engine)
    assert found["started_at"] == midnight
    assert found["severity"] == "warning"  # Siaga 2 and 1 are not known: they cannot be reached
    assert [each["source"] for each in found["evidence"]["thresholds"]] == ["b"]


def test_a_gauge_without_thresholds_has_no_states(engine: Engine, apply_site: Apply) -> None:
    apply_site(world.site(("g2", "gauge")))
    world.write(engine, world.datastream(engine, "g2", "water_level"), levels(50.0))
    world.settle(engine)
    assert live(engine) == []


def test_unusable_params_are_named_and_do_not_stop_the_rest(
    engine: Engine, apply_site: Apply
) -> None:
    site = world.site(("g1", "gauge"), ("m1", "meter"))
    site["pilots"].append(
        {**site["pilots"][0], "key": "broken", "params": {"hysteresis_m": "much"}}
    )
    site["devices"].append({**site["devices"][0], "key": "g9", "pilot": "broken"})
    apply_site(site)
    for key in ("g9", "g1"):
        gauge = world.datastream(engine, key, "water_level")
        world.write(engine, gauge, levels(0.9, 0.5, 0.5))
    world.settle(engine)
    assert world.errors(engine) == {
        "pilot:flood": "town/broken: PilotParamsError: town/broken: hysteresis_m must be a number"
        " of metres, 0 or more"
    }
    assert len(world.rows(engine, LIVE)) == 1
    site["pilots"][-1]["params"] = site["pilots"][0]["params"]
    site["pilots"][-1]["params"]["thresholds"]["g9"] = site["pilots"][0]["params"]["thresholds"][
        "g1"
    ]
    apply_site(site)
    world.settle(engine)
    assert len(live(engine)) == 2  # what was owed has been made good


@pytest.mark.parametrize("seed", world.SEEDS)
def test_any_order_of_arrival_gives_the_same_live_findings(
    engine: Engine, gauge: int, seed: int
) -> None:
    chance = random.Random(seed)
    value, series = 0.7, []
    for step in range(150):
        value = min(2.4, max(0.3, value + chance.uniform(-0.35, 0.35)))
        series.append((at(step), round(value, 3), chance.choice((1, 1, 1, 2, 3))))
    world.write(engine, gauge, series)
    world.settle(engine)
    wanted = live(engine)
    assert len(wanted) >= 2
    world.arrive_anyhow(engine, gauge, series, chance)
    assert live(engine) == wanted
