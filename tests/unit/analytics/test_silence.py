"""Silences: gaps in service, whatever lies between the spans."""

import pytest

from services.analytics.methods.silence import silences


@pytest.mark.parametrize(
    ("heard", "served", "wanted"),
    [
        ([], [], []),
        ([], [(0, 10)], []),
        ([], [(0, 11)], [(0, 11)]),
        ([5], [(0, 15)], []),
        ([5], [(0, 16)], [(5, 16)]),
        ([11], [(0, 16)], [(0, 11)]),
        ([-3, 0, 30], [(0, 20), (25, 50)], [(0, 20), (30, 50)]),
        ([22], [(0, 10), (20, 40)], [(22, 40)]),
    ],
)
def test_a_gap_is_longer_than_the_limit_and_within_one_span_of_service(
    heard: list[float], served: list[tuple[float, float]], wanted: list[tuple[float, float]]
) -> None:
    assert [tuple(each) for each in silences(heard, served, 10)] == wanted
