"""Rules of the threshold kind: spans beyond a limit, and params refused by name."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from services.analytics.findings import Found
from services.analytics.pilot import PilotParamsError
from services.analytics.pilots.threshold import rules, spans
from services.analytics.series import Series

START = datetime(2026, 3, 1, tzinfo=UTC)
HOT: dict[str, Any] = {"property": "air_temperature", "above": 30, "severity": "warning"}


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def found(values: list[float], step_min: int = 10, **said: Any) -> list[Found]:
    """What a rule finds in values that come every `step_min`."""
    (rule,) = rules("farm", {"rules": [{**HOT, **said}]}, ["g1"])
    time = START.timestamp() + 60.0 * step_min * np.arange(len(values))
    return spans(Series(time, np.array(values, dtype=float)), rule)


def span(each: Found) -> tuple[datetime, datetime | None]:
    return each.started_at, each.ended_at


def test_a_span_lasts_from_the_first_reading_beyond_to_the_first_one_back() -> None:
    hot, open_again = found([29, 30, 31, 33, 30, 29, 32])
    assert span(hot) == (at(20), at(40))  # at the limit is not beyond it
    assert span(open_again) == (at(60), None)
    assert hot.severity == "warning"
    assert hot.evidence["rule"] == "air_temperature above 30"
    assert (hot.evidence["above"], hot.evidence["unit"]) == (30, "Cel")
    assert (hot.evidence["peak_value"], hot.evidence["peak_at"]) == (33, at(30).isoformat())


def test_below_looks_for_the_lowest() -> None:
    dry = {"property": "soil_moisture", "above": None, "below": 20}
    (low,) = found([25, 19, 15, 18, 20], **dry)
    assert (low.evidence["below"], low.evidence["peak_value"]) == (20, 15)
    assert span(low) == (at(10), at(40))


def test_hysteresis_keeps_a_wavering_value_one_finding() -> None:
    wavering = [31, 29.5, 31, 28.9, 31]
    assert [span(each) for each in found(wavering, hysteresis=1)] == [
        (at(0), at(30)),
        (at(40), None),
    ]
    assert len(found(wavering)) == 3


def test_a_rule_with_for_min_waits_until_it_has_lasted() -> None:
    assert found([31, 31, 29], for_min=20) == []
    (lasting,) = found([31, 31, 31, 29], for_min=20)
    assert span(lasting) == (at(0), at(30))


def test_no_readings_and_no_rules_find_nothing() -> None:
    assert found([]) == []
    assert rules("farm", {}, []) == []


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"propperty": "x"}, "rule 1: unknown propperty; known: above, below, devices"),
        ({"property": "heat"}, "rule 1: property: 'heat' is not known; known: water_level"),
        ({"above": None}, "rule 1: needs either above or below, in Cel"),
        ({"below": 3}, "rule 1: needs either above or below, in Cel"),
        ({"above": "30"}, "rule 1: above: must be a number, not '30'"),
        ({"above": True}, "rule 1: above: must be a number, not True"),
        ({"above": 10**400}, "rule 1: above: must be a number, not 1000"),
        ({"hysteresis": -1}, "rule 1: hysteresis: must be a number of at least 0, not -1"),
        ({"for_min": float("nan")}, "rule 1: for_min: must be a number of at least 0, not nan"),
        ({"severity": "bad"}, "rule 1: severity: 'bad' is not known; known: info, warning"),
        ({"severity": None}, "rule 1: severity: None is not known"),
        ({"devices": "g1"}, "rule 1: devices: must be a list of texts"),
        ({"devices": ["g7"]}, "rule 1: the pilot has no device 'g7'; it has: g1"),
        ({"label": ""}, "rule 1: label must be a text"),
    ],
)
def test_a_bad_rule_is_refused_by_its_place(said: dict[str, Any], words: str) -> None:
    with pytest.raises(PilotParamsError) as refused:
        rules("farm", {"rules": [{**HOT, **said}]}, ["g1"])
    assert str(refused.value).startswith(f"farm: {words}")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rulez": []}, "farm: params: unknown rulez; known: rules"),
        ({"rules": {}}, "farm: rules must be a list"),
        ({"rules": [3]}, "farm: rule 1: must be a mapping with above"),
        ({"rules": [HOT, HOT]}, "farm: two rules are named 'air_temperature above 30'"),
    ],
)
def test_unusable_params_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(PilotParamsError) as refused:
        rules("farm", given, [])
    assert str(refused.value).startswith(words)
