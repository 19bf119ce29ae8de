"""Simulated devices: pure functions of seed and time, with the faults that were planted."""

import struct
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.clock import EPOCH
from simulators.device import CYCLE, Device, Recurring, Rhythm, ticks
from simulators.gauge import TIME_TO_PEAK, Gauge, level_m, rise
from simulators.meter import Meter, index_l

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOUSEHOLD = Meter(500)
METER = Device("m", "c1b1000000000001", Rhythm(3600, phase_s=900, jitter_s=300), HOUSEHOLD)
EXCHANGE = Recurring(timedelta(days=25, hours=3))
moments = st.integers(0, 600_000_000).map(lambda s: EPOCH + timedelta(seconds=s))


@given(at=moments, seed=st.integers(0, 9), step_s=st.integers(0, 200_000))
def test_a_meter_never_runs_backwards(at: datetime, seed: int, step_s: int) -> None:
    meter = Meter(640, offset=timedelta(hours=7))
    later = at + timedelta(seconds=step_s)
    assert index_l(meter, "m", seed, at) <= index_l(meter, "m", seed, later)


@given(at=moments)
def test_a_day_uses_between_half_and_one_and_a_half_of_the_usual(at: datetime) -> None:
    midnight = EPOCH + (at - EPOCH) // timedelta(days=1) * timedelta(days=1)
    before = index_l(HOUSEHOLD, "m", 1, midnight)
    used = index_l(HOUSEHOLD, "m", 1, midnight + timedelta(days=1)) - before
    assert 249 <= used <= 751


def test_an_exchanged_meter_starts_at_zero_and_counts_on() -> None:
    meter = Meter(500, exchange=EXCHANGE)
    exchanged = EXCHANGE.latest(START)
    assert index_l(meter, "m", 1, exchanged - timedelta(seconds=1)) > 10_000
    assert index_l(meter, "m", 1, exchanged) == 0
    assert 250 <= index_l(meter, "m", 1, exchanged + timedelta(days=1)) <= 750


@pytest.mark.parametrize("start", [START, START + timedelta(minutes=17), START + timedelta(days=9)])
def test_a_later_start_gives_the_same_ticks(start: datetime) -> None:
    whole = dict(islice(ticks(METER, 3, START), 400))
    part = dict(islice(ticks(METER, 3, start), 100))
    assert part.items() <= whole.items()
    assert min(part.values()) >= start
    assert min(part.values()) - start < 2 * HOUR


def test_jitter_keeps_one_reading_in_every_hour_at_changing_seconds() -> None:
    times = [at for _, at in islice(ticks(METER, 3, START), 500)]
    assert [(at - START) // HOUR for at in times] == list(range(500))
    assert len({(at - START) % HOUR for at in times}) > 400


def test_a_rhythm_that_could_swap_two_readings_is_refused() -> None:
    with pytest.raises(ValueError, match="one interval"):
        Rhythm(10, phase_s=8, jitter_s=2)


def test_a_silence_leaves_out_readings_and_their_counters() -> None:
    outage = Recurring(timedelta(days=1), timedelta(hours=31))
    device = Device("m", "e", Rhythm(3600), HOUSEHOLD, silences=(outage,))
    begin = EPOCH + 60 * CYCLE
    heard = list(islice(ticks(device, 1, begin), 200))
    gaps = [(a, b) for (a, _), (b, _) in pairwise(heard) if b - a > 1]
    assert [b - a for a, b in gaps] == [32]
    assert not any(begin + timedelta(days=1) <= at < begin + timedelta(hours=55) for _, at in heard)


def test_recurring_spans_are_those_that_touch_the_window() -> None:
    span = Recurring(timedelta(days=2), timedelta(days=1))
    begin = EPOCH + 50 * CYCLE
    first = (begin + timedelta(days=2), begin + timedelta(days=3))
    assert list(span.touching(begin, begin + CYCLE)) == [first]
    assert list(span.touching(begin + timedelta(days=2.5), begin + timedelta(days=4))) == [first]
    assert list(span.touching(begin + timedelta(days=3), begin + timedelta(days=4))) == []


def test_a_rise_reaches_its_height_at_its_peak_and_is_gone_after_days() -> None:
    gauge = Gauge(0.6, swing_m=0.02, rises_m=(1.0,))
    begins, height = rise(gauge, 4, 300)
    assert height == 1.0
    assert level_m(gauge, "g", 4, begins) == pytest.approx(0.6, abs=0.03)
    assert level_m(gauge, "g", 4, begins + TIME_TO_PEAK) == pytest.approx(1.6, abs=0.03)
    assert level_m(gauge, "g", 4, begins + timedelta(days=2)) == pytest.approx(0.6, abs=0.03)


@given(at=moments)
def test_the_decoded_object_says_what_the_bytes_say(at: datetime) -> None:
    level = Gauge(1.2, rises_m=(0.9,)).frame("g", 1, at)
    assert level.object == {"level_cm": struct.unpack(">BH", level.data)[1] / 10}
    volume = Meter(500).frame("m", 1, at)
    assert volume.object == {"volume_l": struct.unpack(">BI", volume.data)[1]}
