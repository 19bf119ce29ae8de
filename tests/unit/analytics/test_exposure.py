"""Expected and received readings by device and day, by hand-computed cases."""

from datetime import UTC, date, datetime

import numpy as np
import pytest

from services.analytics import local_time
from services.analytics.outcomes import activation, completeness
from services.analytics.outcomes.exposure import Device, Exposure, tally
from services.analytics.outcomes.metric import judge

ZONE = "Asia/Jakarta"
FIRST, PAST = date(2026, 3, 1), date(2026, 3, 3)  # two days
EDGES = local_time.hours(FIRST, PAST, ZONE)
MIDNIGHTS = local_time.midnights(FIRST, PAST, ZONE)


def when(text: str) -> float:
    return datetime.fromisoformat(f"{text}+07:00").timestamp()


def device(
    number: int = 1,
    *,
    planned: str | None = None,
    commissioned: str | None = "2026-01-01",
    cancelled: str | None = None,
    maintenance: tuple[tuple[str, str], ...] = (),
    interval_s: int | None = 900,
) -> Device:
    return Device(
        number,
        planned and when(planned),
        commissioned and when(commissioned),
        cancelled and when(cancelled),
        tuple((when(a), when(b)) for a, b in maintenance),
        interval_s,
    )


def exposure(*devices: Device, count: float | np.ndarray = 4) -> Exposure:
    """Each hour brings `count` readings, all good."""
    heard = np.broadcast_to(np.asarray(count, dtype=float), (len(devices), 48)).copy()
    return tally(devices, EDGES, MIDNIGHTS, heard, heard)


def test_a_device_on_time_is_complete() -> None:
    seen = exposure(device())
    assert seen.expected.tolist() == [[96, 96]]
    assert seen.received.tolist() == [[96, 96]]


def test_an_hour_counts_no_more_than_expected() -> None:
    """Ten in one hour do not make up for the silent one."""
    count = np.full(48, 4.0)
    count[:2] = (10, 0)
    assert exposure(device(), count=count).received.tolist() == [[92, 96]]


def test_the_cap_costs_devices_on_time_and_the_definition_says_so() -> None:
    times = np.arange(EDGES[0] + 1, EDGES[-1], 1500)  # on time every 25 min: 2 or 3 an hour
    uneven, _ = np.histogram(times, EDGES)
    seen = exposure(device(interval_s=1500), count=uneven)
    assert seen.received.sum() / seen.expected.sum() < 0.95
    straddling = np.tile([0.0, 2.0], 24)  # hourly, around the full hour
    seen = exposure(device(interval_s=3600), count=straddling)
    assert seen.received.sum() / seen.expected.sum() == 0.5
    said = completeness.METRIC.formula
    assert "capped" in said
    assert "scores below 1 even when on time" in said
    assert "Maintenance is excluded as registered" in said


def test_service_begins_and_ends_within_an_hour() -> None:
    seen = exposure(device(commissioned="2026-03-01T22:30", cancelled="2026-03-02T01:15"))
    assert seen.active.tolist() == [[5400, 4500]]
    assert seen.expected.tolist() == [[6, 5]]
    assert seen.received.tolist() == [[6, 5]]  # 2 + 4, 4 + 1: the rest was not expected


def test_overlapping_maintenance_is_excluded_once() -> None:
    spans = (("2026-03-01T02:00", "2026-03-01T04:00"), ("2026-03-01T03:00", "2026-03-01T05:30"))
    seen = exposure(device(maintenance=spans))
    assert seen.active.tolist() == [[86400 - 12600, 86400]]
    assert seen.expected.tolist() == [[82, 96]]


def test_a_device_never_commissioned_is_not_expected() -> None:
    assert exposure(device(commissioned=None)).expected.tolist() == [[0, 0]]


def test_intervals_longer_than_an_hour_count_by_the_day() -> None:
    count = np.zeros(48)
    count[[3, 4, 30]] = 1
    seen = exposure(device(interval_s=43_200), count=count)
    assert seen.expected.tolist() == [[2, 2]]
    assert seen.received.tolist() == [[2, 1]]


@pytest.mark.parametrize("interval_s", [None, 604_800])
def test_a_device_without_a_usable_interval_is_left_out_and_told(interval_s: int | None) -> None:
    seen = exposure(device(1), device(2), device(3, interval_s=interval_s))
    measured = completeness.compute(seen, 1)
    assert (measured.value, measured.n, measured.coverage) == (1.0, 2, pytest.approx(2 / 3))
    assert measured.reasons == ("interval_unknown: 1 devices left out",)


def test_a_day_of_25_hours_expects_more() -> None:
    first, past = date(2025, 10, 26), date(2025, 10, 27)
    edges = local_time.hours(first, past, "Europe/London")
    heard = np.full((1, 25), 4.0)
    seen = tally(
        [device(commissioned="2025-01-01")],
        edges,
        local_time.midnights(first, past, "Europe/London"),
        heard,
        heard,
    )
    assert seen.expected.tolist() == [[100]]


def test_completeness_is_a_ratio_of_sums_over_devices() -> None:
    """(96 + 48) of (96 + 96) readings in the first day's window."""
    count = np.array([np.full(48, 4.0), np.full(48, 2.0)])
    measured = completeness.compute(exposure(device(1), device(2), count=count).window(0, 1), 1)
    assert (measured.numerator, measured.denominator, measured.value) == (144, 192, 0.75)
    assert (measured.low, measured.high) == (0.5, 1.0)
    assert judge(completeness.METRIC, measured) == ("fail", None)


def test_one_device_is_insufficient_and_says_why() -> None:
    measured = completeness.compute(exposure(device()), 1)
    assert (measured.value, measured.low, measured.method) == (1.0, None, None)
    state, reason = judge(completeness.METRIC, measured)
    assert state == "insufficient"
    assert reason == "below_n_min: 1 of 2 devices; single_device: no interval can be given"


def test_nobody_in_service_is_no_exposure() -> None:
    for metric in (activation.METRIC, completeness.METRIC):
        measured = metric.compute(exposure(device(commissioned=None)), 1)
        assert measured.value is None
        assert judge(metric, measured) == ("insufficient", "no_exposure")


def test_activation_counts_planned_devices_that_speak() -> None:
    """Live: 1. Not: 2 silent, 3 not commissioned, 4 only unusable readings. Out of scope: 5
    planned for later, 6 cancelled before the end, 7 without plan and commissioning."""
    early = "2026-01-01"
    devices = (
        device(1, planned=early),
        device(2, planned=early),
        device(3, planned=early, commissioned=None),
        device(4, planned=early),
        device(5, planned="2026-03-03"),
        device(6, planned=early, cancelled="2026-03-02"),
        device(7, commissioned=None),
    )
    count = np.zeros((7, 48))
    count[[0, 2, 3, 5], 5] = 1
    good = count.copy()
    good[3] = 0
    measured = activation.compute(tally(devices, EDGES, MIDNIGHTS, count, good), 0)
    assert (measured.numerator, measured.denominator, measured.n) == (1, 4, 4)
    assert measured.coverage == 0.75
    assert measured.method == "wilson-95"
    assert judge(activation.METRIC, measured)[0] == "insufficient"  # 4 of n_min 5


def test_a_device_cancelled_at_the_end_still_counts() -> None:
    seen = exposure(device(planned="2026-01-01", cancelled="2026-03-03"))
    assert activation.compute(seen, 0).denominator == 1


@pytest.mark.parametrize(
    ("live", "planned", "state"), [(50, 50, "pass"), (24, 25, "provisional"), (20, 25, "fail")]
)
def test_the_unfavourable_bound_decides(live: int, planned: int, state: str) -> None:
    """50/50 has a lower bound of 0.929, 24/25 of 0.805."""
    devices = tuple(device(i, planned="2026-01-01") for i in range(planned))
    count = np.zeros((planned, 48))
    count[:live, 0] = 1
    measured = activation.compute(exposure(*devices, count=count), 0)
    assert judge(activation.METRIC, measured)[0] == state


def test_hours_of_yangon_begin_at_half_past() -> None:
    edges = local_time.hours(FIRST, PAST, "Asia/Yangon")
    assert {datetime.fromtimestamp(edge, UTC).minute for edge in edges} == {30}
