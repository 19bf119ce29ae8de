"""ISPU against worked examples, and means that need enough hours."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.methods import hourly, ispu

NAN = float("nan")
# Computed by hand from the regulation's table for this project (CC0).
EXAMPLES = [
    ("pm2_5", 10, 32.26),
    ("pm2_5", 15.5, 50.0),
    ("pm2_5", 38.6, 78.95),
    ("pm2_5", 60, 104.84),
    ("pm2_5", 160, 209.60),
    ("pm10", 75, 62.5),
    ("sulfur_dioxide", 100, 68.75),
    ("sulfur_dioxide", 300, 154.55),
    ("carbon_monoxide", 6000, 75.0),
    ("ozone", 180, 76.09),
    ("nitrogen_dioxide", 140, 75.0),
    ("nitrogen_dioxide", 600, 143.01),
    ("hydrocarbons", 70, 72.73),
]


@pytest.mark.parametrize(("pollutant", "concentration", "wanted"), EXAMPLES)
def test_worked_examples(pollutant: str, concentration: float, wanted: float) -> None:
    (found,) = ispu.index(pollutant, np.array([concentration], dtype=float))
    assert round(float(found), 2) == wanted


def test_the_top_is_capped_and_nothing_gives_nothing() -> None:
    found = ispu.index("pm2_5", np.array([500.0, 5000.0, NAN, -3.0]))
    assert found[:2].tolist() == [500, 500]
    assert np.isnan(found[2])
    assert found[3] == 0


@given(st.floats(0, 2000), st.floats(0, 2000), st.sampled_from(list(ispu.CONCENTRATIONS)))
def test_more_pollution_is_never_a_lower_index(a: float, b: float, pollutant: str) -> None:
    low, high = ispu.index(pollutant, np.array(sorted((a, b))))
    assert low <= high


def test_categories_begin_at_the_rounded_index() -> None:
    values = ispu.rounded(np.array([50.49, 50.5, 100.4, 100.5, 200.5, 300.5]))
    assert [ispu.category(value) for value in values] == [
        "good",
        "moderate",
        "moderate",
        "unhealthy",
        "very unhealthy",
        "hazardous",
    ]


def test_hourly_means_leave_empty_hours_unknown() -> None:
    found = hourly.means(
        np.array([-1.0, 0, 1800, 7200, 10800]), np.array([9.0, 1, 3, 5, 9]), np.arange(4) * 3600.0
    )
    assert found[[0, 2]].tolist() == [2, 5]
    assert np.isnan(found[1])


def test_a_mean_over_a_day_needs_eighteen_hours() -> None:
    values = np.full(24, 10.0)
    values[:6] = NAN
    assert hourly.running(values)[-1] == 10
    values[6] = NAN
    assert np.isnan(hourly.running(values)).all()
    assert np.isnan(hourly.running(values[:5])).all()
    assert np.isnan(hourly.running(np.full(24, 1.0))[:-1]).all()


def test_a_short_day_needs_as_large_a_share() -> None:
    values = np.full(47, 4.0)
    values[:6] = NAN  # 17 of 23 hours are not 75 %
    values[23:29] = NAN
    found = hourly.by_day(values, np.array([0, 23, 47]))
    assert np.isnan(found[0])
    assert found[1] == 4
