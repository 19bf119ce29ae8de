"""Pilot kind threshold: a site file alone starts it, in whatever order readings arrive."""

import copy
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from services.analytics import pilots
from tests.integration import analytics_site as world

pytestmark = pytest.mark.database
Apply = Callable[[object], list[str]]
START = datetime(2026, 3, 1, tzinfo=UTC)
STEP = timedelta(minutes=10)
FARM: dict[str, Any] = {
    **world.SITE,
    "profiles": [
        {
            "key": "climate",
            "interval_s": 600,
            "fields": {
                "t": {"property": "air_temperature", "unit": "Cel"},
                "soil": {"property": "soil_moisture", "unit": "%"},
            },
        }
    ],
    "pilots": [
        {
            "key": "farm",
            "service": "HEA-03",
            "kind": "threshold",
            "phase": 1,
            "origin": "simulated",
            "params": {
                "rules": [
                    {
                        "property": "air_temperature",
                        "above": 30,
                        "hysteresis": 1,
                        "for_min": 20,
                        "severity": "warning",
                        "label": "hot",
                    },
                    {"property": "air_temperature", "above": 34, "severity": "alarm"},
                    {
                        "property": "soil_moisture",
                        "below": 20,
                        "devices": ["bed-2"],
                        "severity": "info",
                    },
                ]
            },
        }
    ],
    "devices": [
        {
            "key": key,
            "pilot": "farm",
            "profile": "climate",
            "source": "plain",
            "origin": "simulated",
        }
        for key in ("bed-1", "bed-2")
    ],
}
LIVE = """
    SELECT device.key AS device, evidence->>'rule' AS rule, severity, started_at, ended_at,
           evidence, finding.origin
    FROM finding JOIN datastream ON datastream.id = finding.datastream_id
    JOIN device ON device.id = datastream.device_id
    WHERE withdrawn_at IS NULL ORDER BY started_at, device.key, evidence->>'rule'
"""


def at(step: int) -> datetime:
    return START + step * STEP


def values(*said: float, first: int = 0) -> list[world.Reading]:
    return world.good([(at(first + i), value) for i, value in enumerate(said)])


def live(engine: Engine) -> list[dict[str, Any]]:
    assert world.errors(engine) == {}
    return world.rows(engine, LIVE)


@pytest.fixture
def farm(apply_site: Apply, engine: Engine) -> dict[tuple[str, str], int]:
    apply_site(FARM)
    return {
        (device, name): world.datastream(engine, device, name)
        for device in ("bed-1", "bed-2")
        for name in ("air_temperature", "soil_moisture")
    }


def test_the_example_of_the_readme_starts_a_service(engine: Engine, apply_site: Apply) -> None:
    text_of_it = Path(pilots.__file__).with_name("README.md").read_text(encoding="utf-8")
    section = text_of_it.split("## Any service by limits")[1]
    apply_site(section.split("```yaml")[1].split("```")[0])
    bin_1 = world.datastream(engine, "bin-1", "fill_level")
    world.write(engine, bin_1, values(*([96.0] * 7), 3.0))
    world.settle(engine)
    assert [(row["rule"], row["severity"]) for row in live(engine)] == [
        ("fill_level above 95", "alarm"),
        ("to be emptied", "warning"),
    ]


def test_each_rule_finds_its_own_spans(engine: Engine, farm: dict[tuple[str, str], int]) -> None:
    heat = farm["bed-1", "air_temperature"]
    for step, value in enumerate((29, 31, 35, 36, 33, 28)):
        world.write(engine, heat, values(value, first=step))
        world.settle(engine)
    for bed in ("bed-1", "bed-2"):
        world.write(engine, farm[bed, "soil_moisture"], values(15))
    world.settle(engine)
    found = [(r["device"], r["rule"], r["started_at"], r["ended_at"]) for r in live(engine)]
    assert found == [
        ("bed-2", "soil_moisture below 20", at(0), None),
        ("bed-1", "hot", at(1), at(5)),
        ("bed-1", "air_temperature above 34", at(2), at(4)),
    ]
    assert {r["origin"] for r in live(engine)} == {"simulated"}
    undone = world.rows(engine, "SELECT FROM finding WHERE withdrawn_at IS NOT NULL")
    assert undone == []  # readings in order only ever let findings grow


def test_changed_rules_judge_again_and_withdraw_what_no_longer_holds(
    engine: Engine, farm: dict[tuple[str, str], int], apply_site: Apply
) -> None:
    world.write(engine, farm["bed-1", "air_temperature"], values(29, 35, 35, 35, 29))
    world.settle(engine)
    assert [row["rule"] for row in live(engine)] == ["air_temperature above 34", "hot"]
    changed = copy.deepcopy(FARM)
    changed["pilots"][0]["params"]["rules"] = changed["pilots"][0]["params"]["rules"][:1]
    apply_site(changed)
    world.settle(engine)
    assert [row["rule"] for row in live(engine)] == ["hot"]


def test_a_bad_rule_is_one_line_and_mended_by_the_site_file(
    engine: Engine, farm: dict[tuple[str, str], int], apply_site: Apply
) -> None:
    broken = copy.deepcopy(FARM)
    broken["pilots"][0]["params"]["rules"][1]["devices"] = ["bed-9"]
    apply_site(broken)
    world.write(engine, farm["bed-1", "air_temperature"], values(35))
    world.settle(engine)
    assert world.errors(engine) == {
        "pilot:threshold": "town/farm: PilotParamsError: town/farm: rule 2: the pilot has no"
        " device 'bed-9'; it has: bed-1, bed-2"
    }
    apply_site(FARM)
    world.settle(engine)
    assert [row["rule"] for row in live(engine)] == ["air_temperature above 34"]


@pytest.mark.parametrize("seed", world.SEEDS)
def test_any_order_of_arrival_gives_the_same_live_findings(
    engine: Engine, farm: dict[tuple[str, str], int], seed: int
) -> None:
    chance = random.Random(seed)
    heat, series, value = farm["bed-1", "air_temperature"], [], 29.0
    for step in range(150):
        value = min(37.0, max(26.0, value + chance.uniform(-2, 2)))
        series.append((at(step), round(value, 1), chance.choice((1, 1, 1, 2, 3))))
    world.write(engine, heat, series)
    world.settle(engine)
    wanted = live(engine)
    assert len(wanted) >= 2
    world.arrive_anyhow(engine, heat, series, chance)
    assert live(engine) == wanted
