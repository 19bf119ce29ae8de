"""Bay states → stays, and time spent in spans, by hand-computed cases."""

from math import inf

import numpy as np
import pytest

from services.analytics.methods import parking
from services.analytics.methods.parking import Spans

Said = tuple[float, int]
Stay = tuple[float, float, bool, bool]


def stays(
    *said: Said,
    until: float = 1e6,
    hold: float = inf,
    merge: float = 60,
    shortest: float = 60,
) -> list[Stay]:
    """(start, stop, arrival seen, departure seen) from states given as (s, state)."""
    time, state = np.array(said, dtype=float).reshape(-1, 2).T
    found = parking.stays(
        time, state >= 0.5, until=until, hold=hold, merge=merge, shortest=shortest
    )
    return list(zip(*(part.tolist() for part in found), strict=True))


def test_a_stay_lasts_from_arrival_to_departure() -> None:
    assert stays((0, 0), (100, 1), (1000, 0)) == [(100, 1000, True, True)]


def test_signs_of_life_change_nothing() -> None:
    assert stays((0, 0), (50, 0), (100, 1), (400, 1), (1000, 0), (1100, 0)) == [
        (100, 1000, True, True)
    ]


def test_a_bay_first_heard_of_taken_has_an_unknown_arrival() -> None:
    assert stays((0, 1), (1000, 0)) == [(0, 1000, False, True)]


def test_a_stay_lasts_while_its_state_is_believed() -> None:
    said = (0, 0), (100, 1), (1000, 1)
    assert stays(*said, until=2999, hold=2000) == [(100, inf, True, False)]
    assert stays(*said, until=3000, hold=2000) == [(100, 3000, True, False)]


def test_a_silence_hides_the_end_and_the_next_arrival() -> None:
    assert stays((0, 0), (100, 1), (5000, 1), (6000, 0), hold=2000) == [
        (100, 2100, True, False),
        (5000, 6000, False, True),
    ]
    assert stays((0, 0), (100, 1), (5000, 0), (9000, 1), (9500, 0), hold=2000) == [
        (100, 2100, True, False),
        (9000, 9500, False, True),
    ]


def test_a_short_vacancy_is_noise() -> None:
    said = (0, 0), (100, 1), (500, 0), (559, 1), (900, 0)
    assert stays(*said) == [(100, 900, True, True)]
    assert stays(*said, merge=59) == [(100, 500, True, True), (559, 900, True, True)]


def test_a_short_stay_is_noise_unless_its_ends_were_not_seen() -> None:
    assert stays((0, 0), (100, 1), (159, 0)) == []
    assert stays((0, 0), (100, 1), (160, 0)) == [(100, 160, True, True)]
    assert stays((100, 1), (130, 0)) == [(100, 130, False, True)]


def test_flapping_is_one_stay() -> None:
    flaps = [(100 + 20 * n, n % 2) for n in range(1, 12)]
    assert stays((0, 0), *flaps, (900, 0)) == [(120, 900, True, True)]


def test_nothing_heard_is_no_stay() -> None:
    assert stays() == []


def spans(*said: tuple[float, float, float]) -> Spans:
    return Spans(*np.array(said, dtype=float).reshape(-1, 3).T)


def test_elapsed_counts_the_weighted_part_before_each_edge() -> None:
    taken = spans((60, 10, 1), (100, 20, 3), (150, inf, 2))
    edges = np.array([0, 60, 65, 80, 110, 150, 151, 1000], dtype=float)
    assert parking.elapsed(edges, taken).tolist() == [0, 0, 5, 10, 40, 70, 72, 1770]
    assert parking.elapsed(edges, spans()).tolist() == [0] * 8


def test_spaces_together_change_at_every_edge() -> None:
    time, total = parking.together([spans((0, 10, 1), (20, inf, 1)), spans((5, 15, 2))])
    assert time.tolist() == [0, 5, 10, 20]
    assert total.tolist() == [1, 3, 2, 1]
    assert [part.tolist() for part in parking.together([])] == [[], []]


@pytest.mark.parametrize("seed", range(5))
def test_stays_are_apart_and_begin_and_end_with_a_reading(seed: int) -> None:
    random = np.random.default_rng(seed)
    time = np.cumsum(random.choice([20, 70, 500, 4000], 300)).astype(float)
    found = parking.stays(
        time, random.random(300) < 0.5, until=time[-1], hold=3000, merge=60, shortest=60
    )
    assert (found.stop > found.start).all()
    assert (found.start[1:] >= found.stop[:-1]).all()
    assert np.isin(found.start, time).all()
    assert np.isin(found.stop[found.departed], time).all()
