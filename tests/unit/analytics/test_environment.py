"""Environment: indices by hour and day, what they rest on, and the findings made of them."""

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from services.analytics.pilot import Pilot, PilotParamsError
from services.analytics.pilots.environment import air, settings, water
from services.analytics.pilots.environment.episodes import episodes
from services.analytics.series import Derived, Series

ZONE = "Asia/Jakarta"
DAY = date(2026, 3, 2)
MIDNIGHT = datetime(2026, 3, 1, 17, tzinfo=UTC)  # of DAY in Jakarta
HOUR = timedelta(hours=1)
EARLY = -math.inf  # a present that ends no hour by itself


def hours(values: list[float], first: int = 0) -> Series:
    """One value at half past each hour from `first` after MIDNIGHT on."""
    start = MIDNIGHT.timestamp() + 3600 * first + 1800
    return Series(start + 3600.0 * np.arange(len(values)), np.array(values, dtype=float))


def said(derived: list[Derived]) -> list[tuple[int, float]]:
    return [(round((each.time - MIDNIGHT) / HOUR), each.value) for each in derived]


def pilot(**params: Any) -> Pilot:
    return Pilot(1, "town/air", ZONE, "simulated", params)


def limits(stated: object = "class-2", **more: Any) -> settings.Water:
    return settings.read(pilot(water={"limits": stated, **more})).water


def test_an_hour_has_the_index_of_the_day_that_ends_with_it() -> None:
    values = [15.5] * 24 + [55.4] * 25
    found = air.derive({"pm2_5": hours(values)}, DAY, ZONE, EARLY)
    hourly = said(found[air.EACH, "pm2_5"])
    assert hourly[0] == (17, 50)  # 18 of 24 hours known at the eighteenth
    assert hourly[-1] == (47, 100)
    assert found[air.TOTAL, ""] == found[air.EACH, "pm2_5"]
    assert said(found[air.TOTAL_DAILY, ""]) == [(0, 50), (24, 100)]


def test_an_hour_that_is_not_over_is_not_judged() -> None:
    found = air.derive({"pm2_5": hours([15.5] * 24)}, DAY, ZONE, EARLY)
    assert said(found[air.TOTAL, ""])[-1][0] == 22
    assert found[air.TOTAL_DAILY, ""] == []


def test_the_present_ends_the_hour_and_the_day_of_the_last_reading() -> None:
    ozone = {"ozone": hours([120.0] * 20)}
    late = (MIDNIGHT + 40 * HOUR).timestamp()
    found = air.derive(ozone, DAY, ZONE, late)
    assert said(found[air.TOTAL, ""])[-1] == (19, 50)  # none for the silent hours after it
    assert said(found[air.TOTAL_DAILY, ""]) == [(0, 50)]
    sample = {"acidity": hours([9.5])}
    found = water.derive(sample, DAY, ZONE, limits(), late)
    assert len(found[water.RATIO, "acidity"]) == 1


def test_the_index_is_the_highest_of_what_is_measured() -> None:
    both = {"pm10": hours([150.0] * 25), "pm2_5": hours([15.5] * 20)}
    found = air.derive(both, DAY, ZONE, EARLY)
    assert set(dict(said(found[air.TOTAL, ""])).values()) == {100}
    assert said(found[air.EACH_DAILY, "pm2_5"]) == []  # silent since: its day is not known
    assert said(found[air.EACH_DAILY, "pm10"]) == [(0, 100)]


def test_too_few_hours_give_no_index() -> None:
    found = air.derive({"pm2_5": hours([15.5] * 17 + [15.5])}, DAY, ZONE, EARLY)
    assert found[air.TOTAL, ""] == []
    assert air.derive({"pm2_5": hours([])}, DAY, ZONE, EARLY)[air.TOTAL, ""] == []
    assert air.derive({}, DAY, ZONE, EARLY) == {}


def test_later_days_do_not_need_earlier_readings_than_two_days() -> None:
    values = np.random.default_rng(1).uniform(0, 300, 24 * 6 + 1).tolist()
    whole = air.derive({"ozone": hours(values)}, DAY, ZONE, EARLY)
    part = air.derive({"ozone": hours(values[48:], first=48)}, DAY + timedelta(days=4), ZONE, EARLY)
    since = MIDNIGHT + 4 * 24 * HOUR
    for key, derived in part.items():
        assert derived == [each for each in whole[key] if each.time >= since]


def test_unhealthy_air_is_one_finding_that_says_what_it_rests_on() -> None:
    each = {
        "pm10": hours([60, 60, 60, 60, 60, 60]),
        "pm2_5": hours([100, 101, 205, 97, 95, 95]),
    }
    (found,) = air.judge(each, margin=5)
    start = MIDNIGHT + HOUR / 2
    assert (found.started_at, found.ended_at) == (start + HOUR, start + 5 * HOUR)
    assert found.severity == "alarm"
    evidence = found.evidence
    assert (evidence["category"], evidence["peak_index"]) == ("very unhealthy", 205)
    assert (evidence["critical"], evidence["pollutants"]) == ("pm2_5", "pm10, pm2_5")
    assert evidence["partial_without"].startswith("sulfur_dioxide, carbon_monoxide")
    assert [step["category"] for step in evidence["transitions"]] == [
        "unhealthy",
        "very unhealthy",
        "unhealthy",
        "moderate or better",
    ]


def test_all_seven_pollutants_are_no_partial_index() -> None:
    (found,) = air.judge(dict.fromkeys(air.POLLUTANTS, hours([120])), margin=5)
    assert "partial_without" not in found.evidence
    assert found.severity == "warning"
    assert found.ended_at is None


def test_a_sensor_that_falls_silent_ends_nothing() -> None:
    each = {"ozone": hours([20] * 9), "pm2_5": hours([130, 130])}
    (found,) = air.judge(each, margin=5)
    assert found.ended_at is None


def test_episodes_of_nothing_are_none() -> None:
    assert episodes({}, (1.0,), 0) == []
    assert episodes({"a": hours([])}, (1.0,), 0) == []


def test_water_beyond_a_limit_is_found_with_index_and_list() -> None:
    readings = {
        "dissolved_oxygen": hours([6, 2.5, 2.5, 6, 6, 6]),
        "acidity": hours([7.2] * 6),
        "biochemical_oxygen_demand": hours([2, 8, 8, 2, 2, 2]),
        "chemical_oxygen_demand": hours([20, 30, 30, 20, 20, 20]),
        "suspended_solids": hours([40, 60, 60, 40, 40, 40]),
        "water_temperature": hours([28] * 6),
    }
    own = limits()
    found = water.derive(readings, DAY, ZONE, own, EARLY)
    index = {hour: round(value, 4) for hour, value in said(found[water.INDEX, ""])}
    # Worked example of the index, computed independently for this project (CC0).
    assert index[1] == pytest.approx(2.4753, abs=2e-4)
    assert list(index) == [0, 1, 2, 3, 4]
    ratios = {name: series(found[prop, name]) for prop, name in found if prop == water.RATIO}
    judged = water.judge(ratios, series(found[water.INDEX, ""]), own, set(readings))
    (breach,) = judged
    assert (breach.started_at, breach.ended_at) == (MIDNIGHT + HOUR, MIDNIGHT + 4 * HOUR)
    assert breach.severity == "warning"
    evidence = breach.evidence
    assert (evidence["critical"], evidence["limit"]) == ("biochemical_oxygen_demand", "≤ 3 mg/L")
    assert evidence["beyond"] == (
        "biochemical_oxygen_demand, chemical_oxygen_demand, dissolved_oxygen, suspended_solids"
    )
    assert evidence["class"] == "lightly polluted"
    assert "nitrate" in evidence["partial_without"]
    assert evidence["source"] == "PP 22/2021 annex VI, class II"


def series(derived: list[Derived]) -> Series:
    return Series(
        np.array([each.time.timestamp() for each in derived]),
        np.array([each.value for each in derived]),
    )


def test_the_index_needs_its_whole_list_and_the_temperature() -> None:
    readings = {
        "dissolved_oxygen": hours([5, 5]),
        "acidity": hours([7, 7]),
        "ammonia": hours([0.1, 0.1]),
    }
    assert water.derive(readings, DAY, ZONE, limits(), EARLY)[water.INDEX, ""] == []
    found = water.derive(readings, DAY, ZONE, limits(temperature_c=28), EARLY)
    assert len(found[water.INDEX, ""]) == 1
    readings["nitrate"] = hours([], 0)
    assert water.derive(readings, DAY, ZONE, limits(temperature_c=28), EARLY)[water.INDEX, ""] == []
    listed = limits(temperature_c=28, parameters=["dissolved_oxygen", "acidity", "ammonia"])
    assert len(water.derive(readings, DAY, ZONE, listed, EARLY)[water.INDEX, ""]) == 1
    few = limits(temperature_c=28, parameters=["dissolved_oxygen", "acidity"])
    assert water.derive(readings, DAY, ZONE, few, EARLY)[water.INDEX, ""] == []


def test_at_the_limit_is_within_it() -> None:
    readings = {"acidity": hours([9, 9]), "dissolved_oxygen": hours([4, 4])}
    found = water.derive(readings, DAY, ZONE, limits(), EARLY)
    ratios = {name: series(found[prop, name]) for prop, name in found if prop == water.RATIO}
    assert [part.value.tolist() for part in ratios.values()] == [[1], [1]]
    assert water.judge(ratios, series([]), limits(), set(readings)) == []


def test_limits_hold_from_their_date() -> None:
    own = limits(
        [
            {"valid_from": "2026-03-02", "source": "later", "ammonia": {"max": 1}},
            {"source": "ever", "ammonia": {"max": 2}, "nitrate": {"max": 5}},
        ]
    )
    readings = {"ammonia": hours([1.5] * 4, first=-2), "nitrate": hours([1] * 4, first=-2)}
    found = water.derive(readings, DAY - timedelta(days=1), ZONE, own, EARLY)
    assert said(found[water.RATIO, "ammonia"]) == [(-2, 0.75), (-1, 0.75), (0, 1.5)]
    assert said(found[water.RATIO, "nitrate"]) == [(-2, 0.2), (-1, 0.2)]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"airr": {}}, "town/air: params: unknown airr; known: air, water"),
        ({"air": {"x": 1}}, "town/air: params: air: unknown x; known: hysteresis"),
        ({"air": {"hysteresis": -1}}, "town/air: params: air: hysteresis: must be a number of"),
        ({"water": {"limits": "class-9"}}, "town/air: params: water: limits: 'class-9' is not"),
        ({"water": {"limits": 3}}, "town/air: params: water: limits: must be one of class-2"),
        (
            {"water": {"limits": [{"source": "a", "ph": {"max": 9}}]}},
            "town/air: params: water: limits 1: unknown ph; known: acidity, ammonia",
        ),
        (
            {"water": {"limits": [{"acidity": {"max": 9}}]}},
            "town/air: params: water: limits 1: source must say who states these limits",
        ),
        (
            {"water": {"limits": [{"source": "a", "acidity": {"min": 9, "max": 6}}]}},
            "town/air: params: water: limits 1: acidity: needs a min, a max, or both",
        ),
        (
            {"water": {"limits": [{"source": "a", "valid_from": "soon"}]}},
            "town/air: params: water: limits 1: valid_from 'soon' is no date",
        ),
        (
            {"water": {"limits": "class-2", "parameters": ["ph"]}},
            "town/air: params: water: parameters: 'ph' is not known",
        ),
        ({"water": {"temperature_c": "warm"}}, "town/air: params: water: temperature_c: must be"),
    ],
)
def test_bad_params_are_refused_by_their_place(params: dict[str, Any], words: str) -> None:
    with pytest.raises(PilotParamsError) as refused:
        settings.read(pilot(**params))
    assert str(refused.value).startswith(words)
