"""Net inflow, night flow and shifts of its level."""

import numpy as np
import pytest

from services.analytics.methods import net_inflow, night_flow
from services.analytics.methods.cusum import Shift, Tracker, Tuning
from services.analytics.pilots.leakage.leaks import shifts

NAN = float("nan")
EDGES = np.array([0.0, 3600.0, 7200.0, 10800.0])
TUNING = Tuning(k=0.5, h=6.0, alpha=0.2, learn=14, floor=0.01, least=0.04, scale=1.0)


def tracked(values: list[float], told: int | None = None) -> list[Shift]:
    tracker = Tracker(TUNING)
    steps = [tracker.step(at, value, at == told) for at, value in enumerate(values)]
    return [step for step in steps if step]


def noise(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(count)


def test_an_hour_needs_its_readings_and_its_end() -> None:
    time = np.array([0.0, 1800.0, 3600.0, 7200.0, 9000.0])
    value = np.array([1.0, 3.0, 5.0, 7.0, 9.0])
    means = net_inflow.hourly_means(time, value, EDGES, 2)
    np.testing.assert_array_equal(means, [2.0, NAN, NAN])  # one reading; no reading after its end


def test_hours_do_not_depend_on_where_the_series_begins() -> None:
    time = np.arange(0.0, 11000.0, 300.0)
    value = np.random.default_rng(1).uniform(0, 1e6, len(time))
    whole = net_inflow.hourly_means(time, value, EDGES, 6)
    part = net_inflow.hourly_means(time[12:], value[12:], EDGES[1:], 6)
    assert whole[1:].tolist() == part.tolist()


def test_a_tank_that_rises_takes_up_water() -> None:
    time = np.array([-600.0, 600.0, 3600.0, 7200.0])
    level = np.array([1.0, 1.2, 2.0, 1.0])
    taken = net_inflow.stored(time, level, EDGES, 3.6, 3600.0)
    np.testing.assert_allclose(
        taken, [0.9, -1.0, NAN]
    )  # 0.9 m x 3.6 m2 an hour; no level at the end


def test_a_level_too_far_from_the_hour_is_unknown() -> None:
    time, level = np.array([-4000.0, 7200.0, 10800.0]), np.array([1.0, 1.0, 1.0])
    taken = net_inflow.stored(time, level, EDGES, 1.0, 3600.0)
    np.testing.assert_array_equal(taken, [NAN, NAN, 0.0])


def test_a_night_with_an_unknown_hour_is_a_gap() -> None:
    hourly = np.array([1.0, 3.0, NAN, 5.0])
    first, past = np.array([0, 2, 4]), np.array([2, 4, 4])
    np.testing.assert_array_equal(night_flow.means(hourly, first, past), [2.0, NAN, NAN])


def test_the_habit_of_a_weekday_is_known_from_the_weeks_before() -> None:
    nights = [10.0 + (5.0 if day % 7 == 6 else 0.0) for day in range(30)]
    assert [night_flow.usual(nights, day) for day in range(21, 28)] == [0] * 6 + [5]
    ahead = [*nights[:27], 1000.0, *nights[28:]]
    assert night_flow.usual(ahead, 27) == 5  # what the night itself is does not matter


def test_without_a_week_there_is_no_habit() -> None:
    assert night_flow.usual([NAN] * 20 + [1.0], 20) is None


@pytest.mark.parametrize("seed", range(5))
def test_a_step_is_found_once_at_its_first_value(seed: int) -> None:
    values = 10 + 0.1 * noise(60, seed)
    values[40:] += 3
    (shift,) = tracked(values.tolist())
    assert (shift.since, shift.at) in {(40, 40), (40, 41)}
    assert shift.size == pytest.approx(3, abs=0.6)
    assert shift.before == pytest.approx(10, abs=0.4)


def test_a_step_down_is_found_too() -> None:
    values = 10 + 0.1 * noise(60, 1)
    values[40:] -= 3
    (shift,) = tracked(values.tolist())
    assert shift.size == pytest.approx(-3, abs=0.6)


def test_slow_drift_is_followed() -> None:
    values = 10 + 0.1 * noise(300, 2) + 0.005 * np.arange(300)
    assert tracked(values.tolist()) == []


def test_one_outlier_within_reach_is_no_shift() -> None:
    values = 10 + 0.1 * noise(60, 3)
    values[40] += 0.45
    assert tracked(values.tolist()) == []


def test_where_no_water_flows_at_night_a_trickle_is_no_shift() -> None:
    assert tracked([0.0] * 30 + [0.03] * 10) == []
    assert [each.size for each in tracked([0.0] * 30 + [0.3] * 10)] == pytest.approx([0.3])


def test_a_told_drop_is_the_new_level_at_once() -> None:
    values = 10 + 0.1 * noise(60, 4)
    values[40:] -= 0.3
    (shift,) = tracked(values.tolist(), told=40)
    assert (shift.at, shift.told) == (40, True)
    assert shift.size == pytest.approx(values[40] - shift.before)
    assert [each for each in tracked(values.tolist()) if each.at == 40] == []


def test_a_value_that_rose_is_no_told_drop() -> None:
    values = 10 + 0.1 * noise(60, 4)
    values[40] = 10.3
    assert tracked(values.tolist(), told=40) == []


def test_weekends_are_no_leaks_and_a_leak_on_one_is() -> None:
    day = np.arange(70)
    flow = 10 + 0.1 * noise(70, 5) + np.where(day % 7 >= 5, 4.0, 0.0)
    assert shifts(flow) == []
    flow[40:] += 2.0  # a Saturday
    (shift,) = shifts(flow)
    assert shift.since == 40


def test_after_a_leak_and_its_repair_the_next_is_found() -> None:
    flow = 10 + 0.1 * noise(80, 6)
    flow[30:45] += 3
    flow[60:] += 2
    assert [(each.since, each.size > 0) for each in shifts(flow)] == [
        (30, True),
        (45, False),
        (60, True),
    ]


def test_missing_nights_are_passed_over() -> None:
    flow = 10 + 0.1 * noise(80, 7)
    flow[[5, 33, 34, 35, 36, 37, 50]] = NAN
    assert shifts(flow) == []
    flow[55:] += 3
    assert [each.since for each in shifts(flow)] == [55]


def test_noise_alone_is_found_far_less_than_once_a_month() -> None:
    found = sum(
        each.size > 0 for seed in range(20) for each in shifts(10 + 0.5 * noise(365, 100 + seed))
    )
    assert found <= 20 * 12 * 0.1
