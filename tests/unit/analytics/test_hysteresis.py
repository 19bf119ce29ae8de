"""Warning levels: up at once, down only after two low readings."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.methods.hysteresis import beyond, levels

LIMITS = (0.8, 1.5, 2.0)  # Katulampa, in m


def of(*values: float, limits: tuple[float, ...] = LIMITS, margin: float = 0.1) -> list[int]:
    return levels(np.array(values), np.tile(limits, (len(values), 1)), margin).tolist()


def test_the_lower_bound_belongs_to_the_state() -> None:
    assert of(0.799, 0.8, 1.5, 2.0) == [0, 1, 2, 3]


def test_one_low_reading_is_not_enough_to_leave() -> None:
    assert of(0.9, 0.69, 0.75, 0.69, 0.75) == [1, 1, 1, 1, 1]


def test_two_low_readings_in_succession_leave() -> None:
    assert of(0.9, 0.69, 0.69) == [1, 1, 0]


def test_a_reading_exactly_on_the_margin_is_not_below_it() -> None:
    assert of(0.9, 0.75, 0.75, limits=(0.875, 1.5, 2.0), margin=0.125) == [1, 1, 1]


def test_a_fast_fall_leaves_several_levels_at_once() -> None:
    assert of(2.1, 0.5, 0.5) == [3, 3, 0]


def test_each_level_is_left_on_its_own_margin() -> None:
    assert of(2.1, 1.85, 1.85, 1.45, 1.45, 1.3, 1.3) == [3, 3, 2, 2, 2, 2, 1]


def test_an_unknown_limit_cannot_be_reached() -> None:
    assert of(0.9, 1.6, 9.0, limits=(0.8, np.nan, np.nan)) == [1, 1, 1]


def test_a_limit_that_is_no_longer_known_ends_its_level() -> None:
    limits = np.array([[0.8], [np.nan]])
    assert levels(np.array([0.9, 0.9]), limits, 0.1).tolist() == [1, 0]


def test_no_readings_give_no_levels() -> None:
    assert levels(np.empty(0), np.empty((0, 3)), 0.1).tolist() == []


@given(st.lists(st.floats(0, 3, allow_nan=False), min_size=1, max_size=60), st.floats(0, 0.5))
def test_the_array_form_equals_the_rule_reading_by_reading(
    values: list[float], margin: float
) -> None:
    expected, active, low = [], [False] * 3, [False] * 3
    for value in values:
        for i, limit in enumerate(LIMITS):
            below = value < limit - margin
            if value >= limit:
                active[i] = True
            elif below and low[i]:
                active[i] = False
            low[i] = below
        expected.append(max((i + 1 for i in range(3) if active[i]), default=0))
    assert of(*values, margin=margin) == expected


@given(st.lists(st.integers(0, 9), max_size=40), st.integers(1, 8), st.integers(0, 4))
def test_beyond_a_limit_is_as_a_plain_loop_has_it(
    values: list[int], limit: int, margin: int
) -> None:
    wanted, on = [], False
    for value in values:
        on = value > limit or (on and value > limit - margin)
        wanted.append(on)
    assert beyond(np.array(values, dtype=float), limit, margin).tolist() == wanted
