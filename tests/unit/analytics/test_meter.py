"""Meter index → volume, by hand-computed cases."""

import numpy as np
import pytest

from services.analytics.methods import meter

HOUR = 3600.0
Q4 = 3.125


def points(*readings: tuple[float, float]) -> meter.Points:
    """Clean readings given as (hour, m3)."""
    hours, index = np.array(readings, dtype=float).T
    return meter.clean(hours * HOUR, index, Q4)


def edges(*hours: float) -> np.ndarray:
    return np.array(hours, dtype=float) * HOUR


def test_the_index_is_interpolated_at_the_hour() -> None:
    """0.5 h: 1.0, 1.5 h: 1.2, 2.5 h: 1.6 → index at 1 h 1.1, at 2 h 1.4."""
    found = meter.volumes(points((0.5, 1.0), (1.5, 1.2), (2.5, 1.6)), edges(0, 1, 2, 3))
    assert found.known.tolist() == [False, True, False]
    assert found.volume[1] == pytest.approx(0.3)
    assert not found.estimated[1]


def test_a_long_gap_is_spread_and_marked() -> None:
    found = meter.volumes(points((0, 1.0), (1, 1.1), (5, 1.5), (6, 1.6)), edges(*range(7)))
    assert found.volume.tolist() == pytest.approx([0.1] * 6)
    assert found.estimated.tolist() == [False, True, True, True, True, False]


def test_three_hours_is_not_yet_a_long_gap() -> None:
    found = meter.volumes(points((0, 1.0), (3, 1.3)), edges(0, 1, 2, 3))
    assert not found.estimated.any()


def test_a_gap_inside_a_day_leaves_its_total_certain() -> None:
    seen = points((0, 1.0), (1, 1.1), (20, 2.0), (24, 2.4), (30, 2.6), (48, 4.0))
    days = meter.totals(seen, edges(0, 24, 48))
    assert days.volume.tolist() == pytest.approx([1.4, 1.6])
    assert days.estimated.tolist() == [False, False]
    shifted = meter.totals(seen, edges(10, 34))
    assert shifted.known.all()
    assert shifted.estimated.all()


def test_jitter_waits_until_it_is_passed() -> None:
    seen = points((0, 1.0), (1, 1.010), (2, 0.995), (3, 1.005), (4, 1.020))
    assert seen.index.tolist() == [1.0, 1.010, 1.010, 1.010, 1.020]
    assert seen.joined.tolist() == [False, True, True, True, True]


def test_one_low_outlier_is_dropped() -> None:
    seen = points((0, 5.0), (1, 5.1), (2, 0.0), (3, 5.3))
    assert (seen.time / HOUR).tolist() == [0, 1, 3]
    assert meter.volumes(seen, edges(0, 3)).volume.tolist() == pytest.approx([0.3])


def test_one_impossible_high_outlier_is_dropped() -> None:
    seen = points((0, 5.0), (1, 253.0), (2, 5.2), (3, 5.3))
    assert seen.index.tolist() == [5.0, 5.2, 5.3]


def test_an_interleaved_alien_is_dropped_reading_by_reading() -> None:
    seen = points((0, 5.0), (1, 253.0), (2, 5.2), (3, 253.1), (4, 5.4), (5, 5.5))
    assert seen.index.tolist() == [5.0, 5.2, 5.4, 5.5]


def test_a_reset_is_believed_after_three_readings_and_its_volume_is_unknown() -> None:
    seen = points((0, 5.0), (1, 5.1), (2, 0.0), (3, 0.1), (4, 0.3))
    assert seen.joined.tolist() == [False, True, False, True, True]
    found = meter.volumes(seen, edges(0, 1, 2, 3, 4))
    assert found.known.tolist() == [True, False, True, True]
    assert found.volume.tolist() == pytest.approx([0.1, 0, 0.1, 0.2])


def test_two_readings_on_a_new_level_still_wait() -> None:
    seen = points((0, 5.0), (1, 5.1), (2, 0.0), (3, 0.1))
    assert seen.index.tolist() == [5.0, 5.1]


def test_a_return_after_two_readings_leaves_no_reset() -> None:
    seen = points((0, 5.0), (1, 0.0), (2, 0.1), (3, 5.2), (4, 5.3))
    assert seen.joined.tolist() == [False, True, True]


def test_volumes_add_up_to_last_minus_first() -> None:
    random = np.random.default_rng(7)
    hours = np.cumsum(random.uniform(0.2, 5, 500))
    index = np.cumsum(random.uniform(0, 0.3, 500))
    seen = meter.clean(hours * HOUR, index, Q4)
    span = np.concatenate(([hours[0]], np.arange(np.ceil(hours[0]), hours[-1]), [hours[-1]]))
    found = meter.volumes(seen, span * HOUR)
    assert found.known.all()
    assert found.volume.sum() == pytest.approx(index[-1] - index[0], abs=1e-9)


def runs(seen: meter.Points, pulse: float = 0.001) -> list[tuple[float, float, float, bool]]:
    found = meter.flow_runs(meter.segments(seen), pulse)
    return [(r.start / HOUR, r.stop / HOUR, round(r.volume, 6), r.open) for r in found]


def test_a_dry_hour_parts_two_runs() -> None:
    seen = points((0, 1.0), (1, 1.1), (2, 1.1), (3, 1.3))
    assert runs(seen) == [(0, 1, 0.1, False), (2, 3, 0.2, True)]


def test_standing_still_for_less_than_an_hour_does_not_part() -> None:
    seen = points((0, 1.0), (0.25, 1.1), (0.5, 1.1), (0.75, 1.1), (1, 1.2))
    assert runs(seen) == [(0, 1, 0.2, True)]


def test_short_stands_in_succession_make_a_dry_hour() -> None:
    quarters = [(0.25 * i, 1.0 if i < 5 else 1.1) for i in range(6)]
    assert runs(points(*quarters)) == [(1.0, 1.25, 0.1, True)]


def test_a_long_gap_and_a_reset_end_a_run() -> None:
    seen = points((0, 1.0), (1, 1.1), (5, 1.5), (6, 1.6), (7, 0.0), (8, 0.1), (9, 0.2))
    assert runs(seen) == [(0, 1, 0.1, False), (5, 6, 0.1, False), (7, 9, 0.2, True)]


def test_flow_below_the_pulse_is_standing_still() -> None:
    seen = points((0, 1.0), (1, 1.004), (2, 1.008))
    assert runs(seen, pulse=0.010) == []


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_readings_give_nothing(count: int) -> None:
    seen = meter.clean(np.zeros(count), np.ones(count), Q4)
    assert len(seen.time) == count
    assert meter.flow_runs(meter.segments(seen), 0.001) == []
