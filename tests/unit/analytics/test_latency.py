"""P1-05 ingest latency: which messages count, and their 95th percentile with its interval."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from services.analytics import local_time
from services.analytics.methods import bootstrap
from services.analytics.outcomes import latency
from services.analytics.outcomes.arrivals import NONE, Arrivals, arrivals
from services.analytics.outcomes.exposure import Exposure, tally
from services.analytics.outcomes.metric import judge

ZONE = "Asia/Jakarta"
DAY, NEXT = date(2026, 3, 1), date(2026, 3, 2)
MIDNIGHTS = local_time.midnights(DAY, NEXT, ZONE)
EDGES = local_time.hours(DAY, NEXT, ZONE)
START, STOP = MIDNIGHTS
QUARTER = 900.0
NOTHING = tally((), EDGES, MIDNIGHTS, np.zeros((0, 24)), np.zeros((0, 24)))

Message = tuple[int, float, float, bool]  # device, observed after START, received after START


def sent(*messages: Message) -> Arrivals:
    rows = [
        (device, START + observed, START + received, received - observed, history)
        for device, observed, received, history in messages
    ]
    return arrivals(np.array(sorted(rows, key=lambda row: (row[0], row[2])), dtype=float))


def steady(device: int, lags: list[float], first: int = -1) -> list[Message]:
    """A message every quarter of an hour from `first` quarters after START, each with its lag."""
    return [
        (device, QUARTER * (first + i), QUARTER * (first + i) + lag, False)
        for i, lag in enumerate(lags)
    ]


def exposure(*messages: Message) -> Exposure:
    return replace(NOTHING, arrivals=sent(*messages) if messages else NONE)


def test_messages_on_time_count_from_the_second_on() -> None:
    found = latency.counted(sent(*steady(1, [2, 3, 4, 5])), START, STOP)
    assert found.lag.tolist() == [3, 4, 5]  # the first was observed before the window
    assert found.all == 3
    assert sum(found.left_out.values()) == 0


def test_a_window_takes_what_was_observed_in_it() -> None:
    messages = [(1, -900, -895, False), (1, 0, 7, False), (1, 86_399, 86_500, False)]
    found = latency.counted(sent(*messages), START, STOP)
    assert found.lag.tolist() == [7, 101]


def test_a_device_catching_up_counts_once_by_its_first_message() -> None:
    """An outage of an hour: four stored messages are sent at once, then life goes on."""
    stored = [(1, QUARTER * i, 3600.0 + i, False) for i in range(1, 5)]
    messages = [*steady(1, [2, 2]), *stored, *steady(1, [2, 2], first=5)]
    found = latency.counted(sent(*messages), START, STOP)
    assert sorted(found.lag.tolist()) == [2, 2, 2, 2701]
    assert found.left_out["back_fill"] == 3


def test_a_simulated_past_does_not_count_and_what_follows_live_does() -> None:
    past = [(1, QUARTER * i, 71_200.0 + i / 1000, False) for i in range(80)]
    live = [(1, 71_100 + QUARTER * i, 71_101 + QUARTER * i, False) for i in range(1, 6)]
    found = latency.counted(sent(*past, *live), START, STOP)
    assert found.lag.tolist() == [1] * 5
    assert found.left_out["back_fill"] == 80


def test_an_older_message_sent_later_does_not_count_nor_spoil_the_next() -> None:
    messages = [*steady(1, [2, 2]), (1, -300, 1000, False), *steady(1, [3, 3], first=1)]
    messages.append((1, 300, 5000, False))  # observed in the window, sent again much later
    found = latency.counted(sent(*messages), START, STOP)
    assert sorted(found.lag.tolist()) == [2, 3, 3]
    assert found.left_out["back_fill"] == 1


def test_history_clocks_ahead_and_messages_without_time_are_left_out_by_name() -> None:
    messages = [*steady(1, [2, 2]), (1, 900, 4000, True), (1, 1800, 1800, False)]
    messages.append((1, 2700, 2690, False))
    found = latency.counted(sent(*messages), START, STOP)
    assert found.lag.tolist() == [2]
    assert found.left_out == {"history": 1, "no_own_time": 1, "negative_lag": 1, "back_fill": 0}


def test_the_value_is_the_95th_percentile_with_an_interval_over_devices() -> None:
    lags = [float(i) for i in range(1, 101)]
    window = exposure(*steady(1, [9, *lags[:50]]), *steady(2, [9, *lags[50:]]))
    measured = latency.compute(window, seed=1)
    assert (measured.value, measured.n, measured.denominator) == (95, 2, 100)
    assert measured.numerator == 60  # within a minute
    assert measured.coverage == 1
    assert measured.low is not None
    assert measured.high is not None
    assert measured.low <= 95 <= measured.high
    assert judge(latency.METRIC, measured)[0] == "fail"
    quick = exposure(*steady(1, [1.0] * 40), *steady(2, [2.0] * 40))
    assert judge(latency.METRIC, latency.compute(quick, seed=1))[0] == "pass"


def test_one_device_gives_no_interval_and_left_out_messages_are_told() -> None:
    messages = [*steady(1, [2, 2, 2]), (1, 1000, 50_000, True)]
    measured = latency.compute(exposure(*messages), seed=1)
    assert (measured.value, measured.low) == (2, None)
    state, reason = judge(latency.METRIC, measured)
    assert state == "insufficient"
    assert reason == (
        "below_n_min: 1 of 2 devices; single_device: no interval can be given;"
        " history: 1 of 3 messages left out"
    )


def test_nothing_that_counts_and_recorded_times_are_insufficient() -> None:
    measured = latency.compute(exposure(), seed=1)
    assert judge(latency.METRIC, measured) == ("insufficient", "no_exposure")
    recorded = replace(exposure(*steady(1, [2.0] * 9)), replayed=True)
    measured = latency.compute(recorded, seed=1)
    assert judge(latency.METRIC, measured) == (
        "insufficient",
        "no_exposure; replayed: times of others",
    )
    assert latency.inputs(recorded) == ["replayed"]


def test_inputs_change_with_every_lag_and_with_nothing_else() -> None:
    one, two = steady(1, [2, 2, 2]), steady(2, [3, 3])
    said = latency.inputs(exposure(*one, *two))
    assert latency.inputs(exposure(*two, *one)) == said
    assert latency.inputs(exposure(*one, *steady(2, [3, 4]))) != said


def test_many_values_are_resampled_among_2000_of_them() -> None:
    chance = np.random.default_rng(5)
    values = chance.exponential(10, 60_000)
    device = np.repeat(np.arange(60), 1000)
    low, high = bootstrap.quantile_interval(values, device, 0.95, seed=3)
    assert low < np.quantile(values, 0.95) < high
    assert high - low < 2
    assert (low, high) == bootstrap.quantile_interval(values, device, 0.95, seed=3)


def test_equal_clusters_have_a_point_interval() -> None:
    values, device = np.tile([1.0, 2.0, 3.0], 4), np.repeat(np.arange(4), 3)
    assert bootstrap.quantile_interval(values, device, 0.5, seed=1) == (2, 2)


def test_one_cluster_cannot_be_resampled() -> None:
    with pytest.raises(ValueError, match="two clusters"):
        bootstrap.quantile_interval(np.array([1.0]), np.array([7]), 0.5, seed=1)
