"""Wilson's interval and the device bootstrap against known values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.methods import bootstrap, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (10, 10, 0.7225, 1.0),  # reference: 10/10 gives 0.72 … 1.00
        (0, 10, 0.0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),  # these four: R. G. Newcombe 1998, Statist. Med. 17:857, table I
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_known_values(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson.interval(successes, trials) == pytest.approx((low, high), abs=6e-5)


@given(st.integers(1, 5000), st.data())
def test_wilson_holds_the_value_and_stays_within_0_and_1(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    low, high = wilson.interval(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (0, 0), (3, 2), (-1, 2)])
def test_wilson_refuses_what_is_no_proportion(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson.interval(successes, trials)


def test_equal_devices_have_a_point_interval() -> None:
    whole = np.full(4, 24.0)
    assert bootstrap.ratio_interval(whole / 2, whole, seed=1) == (0.5, 0.5)


def test_two_devices_give_the_extremes() -> None:
    """Of two, a quarter of the draws are twice the first and a quarter twice the second."""
    got = bootstrap.ratio_interval(np.array([10.0, 0.0]), np.array([10.0, 10.0]), seed=3)
    assert got == (0.0, 1.0)


def test_the_same_seed_gives_the_same_interval_and_another_may_not() -> None:
    random = np.random.default_rng(0)
    came, due = random.uniform(0, 24, 30), np.full(30, 24.0)
    one = bootstrap.ratio_interval(came, due, seed=5)
    assert one == bootstrap.ratio_interval(came, due, seed=5)
    assert one != bootstrap.ratio_interval(came, due, seed=6)


def test_the_interval_matches_the_normal_one_for_many_devices() -> None:
    random = np.random.default_rng(0)
    came, due = random.uniform(0, 24, 400), np.full(400, 24.0)
    low, high = bootstrap.ratio_interval(came, due, seed=5)
    error = (came / 24).std() / np.sqrt(400)
    middle = (came / 24).mean()
    assert (low, high) == pytest.approx((middle - 1.96 * error, middle + 1.96 * error), abs=0.004)


def test_one_device_has_no_interval() -> None:
    with pytest.raises(ValueError, match="two clusters"):
        bootstrap.ratio_interval(np.ones(1), np.ones(1), seed=1)
