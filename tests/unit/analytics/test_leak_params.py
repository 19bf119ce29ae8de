"""Params of a leakage pilot: what they mean, and what is refused in one clear line."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.analytics.pilot import Pilot, PilotParamsError
from services.analytics.pilots.leakage.params import Area, areas


def read(params: dict[str, Any]) -> list[Area]:
    pilot = Pilot(1, "town/leaks", "Asia/Jakarta", "measured", params)
    return areas(pilot, ["north", "pump", "south"], ["tank"])


def test_without_areas_every_flow_meter_leads_into_one() -> None:
    assert read({}) == [Area("all", ("north", "pump", "south"), (), (), (2, 4), ())]


def test_an_area_has_its_own_meters_tanks_and_night() -> None:
    (area,) = read(
        {
            "areas": {
                "c": {
                    "inflows": ["pump"],
                    "outflows": ["south"],
                    "tanks": {"tank": 201},
                    "night": [0, 24],
                }
            },
            "night": [1, 5],
        }
    )
    assert area == Area("c", ("pump",), ("south",), (("tank", 201.0),), (0, 24), ())


def test_repairs_are_local_and_a_day_counts_from_its_end() -> None:
    areas = {"a": {"inflows": ["north"]}, "b": {"inflows": ["south"]}}
    repairs = ["2026-03-05", {"area": "a", "at": "2026-04-01T14:30"}, "2026-05-01T00:00Z"]
    a, b = read({"areas": areas, "repairs": repairs})
    day, hour, utc = (
        datetime(2026, 3, 5, 17, tzinfo=UTC),
        datetime(2026, 4, 1, 7, 30, tzinfo=UTC),
        datetime(2026, 5, 1, tzinfo=UTC),
    )
    assert (a.repairs, b.repairs) == ((day, hour, utc), (day, utc))


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"area": {}}, "unknown area; known: areas, night, repairs"),
        ({"areas": []}, "areas must name areas"),
        ({"areas": {"a": {}}}, "areas.a: must list inflows"),
        ({"areas": {"a": {"inflow": ["north"]}}}, "areas.a: unknown inflow; known: "),
        ({"areas": {"a": {"inflows": ["north"], "out": []}}}, "areas.a: unknown out; known: "),
        ({"areas": {"a": {"inflows": "north"}}}, "areas.a.inflows: must be a list of texts"),
        ({"areas": {"a": {"inflows": ["north", "north"]}}}, "inflows names a device twice"),
        (
            {"areas": {"a": {"inflows": ["north"], "outflows": ["north"]}}},
            "north is inflow and outflow at once",
        ),
        (
            {"areas": {"a": {"inflows": ["tank"]}}},
            "no device 'tank' of this pilot reports flow (north, pump, south)",
        ),
        (
            {"areas": {"a": {"inflows": ["north"], "tanks": {"north": 5}}}},
            "no device 'north' of this pilot reports water_level (tank)",
        ),
        (
            {"areas": {"a": {"inflows": ["north"], "tanks": {"tank": 0}}}},
            "tanks must give each device its surface in m2",
        ),
        (
            {"areas": {"a": {"inflows": ["north"], "tanks": {"tank": 10**400}}}},
            "tanks must give each device its surface in m2",
        ),
        ({"night": [4, 2]}, "night must be two rising local hours such as [2, 4]"),
        ({"night": [2.5, 4]}, "night must be"),
        ({"night": "2-4"}, "night must be"),
        ({"repairs": "2026-03-05"}, "repairs must be a list"),
        ({"repairs": ["soon"]}, "repairs: 'soon': at is no time"),
        ({"repairs": [{"at": "2026-03-05", "where": "x"}]}, "unknown where; known: area, at"),
        ({"repairs": [{"area": "x", "at": "2026-03-05"}]}, "unknown area (all)"),
        ({"repairs": [{"area": ["all"], "at": "2026-03-05"}]}, "unknown area (all)"),
        ({"repairs": [{"area": "all"}]}, "at is no time"),
        ({"repairs": ["9999-12-31"]}, "at is no time"),
    ],
)
def test_what_cannot_be_meant_is_one_line(params: dict[str, Any], said: str) -> None:
    with pytest.raises(PilotParamsError) as raised:
        read(params)
    line = str(raised.value)
    assert line.startswith("town/leaks: ")
    assert said in line
    assert "\n" not in line
