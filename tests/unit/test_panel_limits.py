"""Lines drawn into a panel: dated limits by device, and rules of a property."""

from datetime import UTC, datetime
from typing import Any

from services.api.resources.latest import Latest
from services.api.web import series
from services.api.web.limits import common, limits_of

END = datetime(2026, 3, 1, tzinfo=UTC)
RULES: list[Any] = [
    {"property": "air_temperature", "above": 35, "label": "hot"},
    {"property": "air_temperature", "below": 5, "devices": ["bed-1"]},
    {"property": "soil_moisture", "below": 20},
    "no rule",
]


def column(device: str = "bed-1", name: str = "air_temperature") -> Latest:
    unset = dict.fromkeys(Latest.model_fields)
    return Latest.model_construct(**{**unset, "device": device, "property": name})


def test_a_rule_draws_its_limit_where_it_holds() -> None:
    assert limits_of(RULES, column(), END) == {"< 5": 5, "hot": 35}
    assert limits_of(RULES, column("bed-2"), END) == {"hot": 35}
    assert limits_of(RULES, column(name="ozone"), END) == {}


def test_dated_limits_are_those_in_force_at_the_end() -> None:
    stated = {"g1": [{"valid_from": 2014, "siaga3": 0.8}, {"valid_from": 2027, "siaga3": 1.0}]}
    assert limits_of(stated, column("g1"), END) == {"siaga3": 0.8}
    assert limits_of(stated, column("g2"), END) == {}
    assert limits_of(None, column("g1"), END) == {}


def test_a_chart_of_several_series_draws_what_they_share() -> None:
    both = [limits_of(RULES, column(device), END) for device in ("bed-1", "bed-2")]
    assert common(both) == {"hot": 35}


def test_a_panel_for_every_property_becomes_one_for_each_that_was_measured() -> None:
    heard = [column(), column("bed-2"), column(name="soil_moisture")]
    derived = column(name="ispu").model_copy(update={"derived_by": "environment"})
    wanted = series._wanted([{"property": "*", "limits": "rules"}], [*heard, derived])
    assert list(wanted) == [
        {"property": "air_temperature", "limits": "rules"},
        {"property": "soil_moisture", "limits": "rules"},
    ]
