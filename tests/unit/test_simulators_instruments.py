"""Bays, flow meters, probes and soil nodes: what is sent is what was planted."""

import struct
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.bay import Bay, stays
from simulators.clock import EPOCH
from simulators.device import CYCLE, Device, Rhythm, recurring, ticks
from simulators.flow import FlowMeter, Leak, flow_lps
from simulators.probe import Channel, Event, Probe, value
from simulators.soil import SoilNode, moisture_percent

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR, DAY, WIB = timedelta(hours=1), timedelta(days=1), timedelta(hours=7)
OVERSTAY = recurring(START + 3 * DAY + 2 * HOUR, timedelta(hours=5))
BAY = Bay(WIB, gap_min=(20, 180), planted=(OVERSTAY,))
moments = st.integers(0, 300_000_000).map(lambda s: EPOCH + timedelta(seconds=s))


@given(first=moments, at=moments, hours=st.integers(1, 800))
def test_a_span_comes_back_from_wherever_it_was_put(
    first: datetime, at: datetime, hours: int
) -> None:
    span = recurring(first, hours * HOUR)
    assert span.holds(first)
    assert span.holds(first + 3 * CYCLE)
    assert not span.holds(first + span.length)
    inside = any(begin <= at < end for begin, end in span.touching(at, at + HOUR))
    assert span.holds(at) == inside
    assert timedelta(0) <= span.held(at + HOUR) - span.held(at) <= HOUR
    later = at + CYCLE
    assert span.held(later + CYCLE) - span.held(later) == span.length, "once in each cycle"


def test_a_dead_device_says_nothing_more() -> None:
    device = Device("m", "e", Rhythm(3600), Probe(1, ()), dies=START + DAY)
    assert [at for _, at in ticks(device, 1, START)] == [START + n * HOUR for n in range(24)]


def test_a_bay_sends_each_change_and_signs_of_life_with_rising_counters() -> None:
    week = list(takewhile(lambda beat: beat[1] < START + 7 * DAY, BAY.beats("b", 1, START)))
    assert all(a[1] < b[1] and b[0] in (a[0] + 1, 0) for a, b in pairwise(week))
    assert sum(count == 0 for count, _ in week) == 1, "it joins anew once a week"
    assert max(b - a for (_, a), (_, b) in pairwise(week)) <= BAY.keep_alive
    cars = [stay for day in range(-1, 9) for stay in stays(BAY, "b", 1, (START - EPOCH).days + day)]
    sent = {at for _, at in week}
    changes = {at for stay in cars for at in stay if START <= at < START + 7 * DAY}
    assert changes <= sent
    for _, at in week:
        taken = any(come <= at < go for come, go in cars)
        frame = BAY.frame("b", 1, at)
        assert frame.object["occupied"] == int(taken) == frame.data[1]


def test_only_the_planted_stay_is_longer_than_the_usual_ones() -> None:
    first = (START - EPOCH).days
    lengths = [go - come for day in range(7) for come, go in stays(BAY, "b", 1, first + day)]
    assert max(lengths) == timedelta(hours=5)
    assert sorted(lengths)[-2] <= timedelta(minutes=100)
    assert len(lengths) > 20


def test_a_later_start_gives_the_same_uplinks_of_a_bay() -> None:
    whole = dict((at, n) for n, at in islice(BAY.beats("b", 1, START), 200))
    part = dict((at, n) for n, at in islice(BAY.beats("b", 1, START + 3 * DAY), 50))
    assert part.items() <= whole.items()


def test_a_leak_adds_its_flow_here_and_at_every_meter_before() -> None:
    span = recurring(START, 4 * DAY)
    dry, leaking = FlowMeter(5, WIB), FlowMeter(5, WIB, leaks=(Leak(span, 0.6, ramp=DAY),))
    for after, loss in ((timedelta(0), 0), (DAY / 2, 0.3), (DAY, 0.6), (4 * DAY, 0)):
        at = START + after
        extra = flow_lps(leaking, "m", 1, at) - flow_lps(dry, "m", 1, at)
        assert extra == pytest.approx(loss, abs=1e-9)
    inlet = FlowMeter(8, WIB, beyond=("m", leaking))
    alone = FlowMeter(8, WIB)
    passed = flow_lps(inlet, "inlet", 1, START) - flow_lps(alone, "inlet", 1, START)
    assert passed == pytest.approx(flow_lps(leaking, "m", 1, START))


def test_nights_use_less_water_than_mornings() -> None:
    meter = FlowMeter(10, WIB)
    night, morning = START + 20 * HOUR, START + 23 * HOUR  # 3:00 and 6:00 local
    assert flow_lps(meter, "m", 1, night) < 0.4 * flow_lps(meter, "m", 1, morning)


def test_an_event_comes_and_goes_over_its_ramp() -> None:
    event = Event(recurring(START, 4 * HOUR), -2.0, HOUR)
    shifts = [event.shift(START + n * HOUR / 2) for n in range(-1, 10)]
    assert shifts == pytest.approx([0, 0, -1, -2, -2, -2, -2, -2, -1, 0, 0])


@given(at=moments)
def test_a_probe_decodes_to_what_its_bytes_say(at: datetime) -> None:
    probe = Probe(8, (Channel("a", 6, 0.3, noise=0.1), Channel("b", 240, 9, decimals=0, least=0)))
    frame = probe.frame("p", 1, at)
    _, a, b = struct.unpack(">B2i", frame.data)
    assert frame.object == {"a": a / 100, "b": b}
    assert 5.59 <= frame.object["a"] <= 6.41


def test_a_quantity_is_highest_at_its_hour_and_never_below_its_least() -> None:
    warm = Channel("t", 20, 5, top_hour=6)
    assert value(warm, "p", 1, START + 6 * HOUR) == pytest.approx(25)
    assert value(warm, "p", 1, START + 18 * HOUR) == pytest.approx(15)
    assert value(Channel("x", 1, 5, top_hour=6, least=0), "p", 1, START + 18 * HOUR) == 0


def test_soil_dries_day_by_day_while_irrigation_fails_and_recovers() -> None:
    watered = START + 3 * DAY - HOUR  # 6:00 local
    dry = recurring(watered - HOUR, 3 * DAY)
    node = SoilNode(32, 6, WIB, Channel("soil_temp", 20), dry=dry)
    fine = SoilNode(32, 6, WIB, Channel("soil_temp", 20))
    lowest = [moisture_percent(node, "s", 1, watered + n * DAY - HOUR) for n in range(5)]
    assert lowest == pytest.approx([26.3, 20.3, 14.3, 8.3, 26.3], abs=1)
    assert min(moisture_percent(fine, "s", 1, watered + n * HOUR) for n in range(100)) > 24
