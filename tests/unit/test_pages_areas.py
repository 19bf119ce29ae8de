"""What is derived from several devices is told of their area, not of the device that carries it."""

from datetime import UTC, datetime

import pytest

from services.api.resources.latest import Latest
from services.api.web import labels
from services.api.web.area import areas, of_areas

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)


def row(
    number: int, name: str, channel: str = "", by: str | None = None, device: int = 1
) -> Latest:
    return Latest(
        datastream_id=number,
        site="s",
        pilot="p",
        pilot_id=1,
        device=f"d{device}",
        device_id=device,
        property=name,
        channel=channel,
        unit="1",
        time=NOW,
        value=1.0,
        quality=1,
        age_s=60.0 * number,
        interval_s=900,
        derived_by=by,
        origin="simulated",
    )


def test_each_area_has_its_own_figures_and_the_whole_pilot_is_first() -> None:
    rows = [
        row(1, "bay_occupied"),
        row(2, "parking_turnover", "east", "parking", device=2),
        row(3, "parking_turnover", "all", "parking"),
        row(4, "parking_arrivals", "all", "parking"),
        row(5, "net_inflow", "all", "leakage"),
    ]
    found = [(a.channel, [r.datastream_id for r in a.rows], a.age_s) for a in areas(rows)]
    assert found == [("all", [5], 300.0), ("all", [4, 3], 180.0), ("east", [2], 120.0)]
    assert of_areas(rows) == {2, 3, 4, 5}


@pytest.mark.parametrize(
    ("measured", "derived"),
    [("", ""), ("lot", "lot"), ("", "pm2_5"), ("station", "station.dissolved_oxygen")],
)
def test_what_is_derived_from_one_device_stays_with_it(measured: str, derived: str) -> None:
    rows = [row(1, "pm2_5", measured), row(2, "ispu_pollutant", derived, "environment")]
    assert areas(rows) == []


@pytest.mark.parametrize(
    ("channel", "words"),
    [
        ("", ("", "")),
        ("left", ("left", "")),
        ("dissolved_oxygen", ("", "Dissolved oxygen")),
        ("pond.dissolved_oxygen", ("pond", "Dissolved oxygen")),
    ],
)
def test_a_channel_named_for_a_property_is_called_by_its_label(
    channel: str, words: tuple[str, str]
) -> None:
    assert labels.channel(channel) == words
