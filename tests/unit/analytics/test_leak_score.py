"""The protocol by which leak alarms are scored, and what chance reaches."""

import pytest

from tests.bench.leakage_score import DAY, Alarm, Leak, chance, score

HOUR = 3600.0
BURST = Leak("burst", "abrupt", "a", 10 * DAY, 20 * DAY, {10 * DAY: 5.0, 12 * DAY: 15.0})
SLOW = Leak("slow", "incipient", "a", 5 * DAY, 90 * DAY, {5 * DAY: 80.0})


def test_an_alarm_takes_the_leak_that_began_last_and_the_next_the_other() -> None:
    one = score([BURST, SLOW], [Alarm(11 * DAY, "a")])
    assert one.delays == {"burst": pytest.approx(24)}
    assert (one.false, one.repeats, one.volume, one.eur) == (
        0,
        0,
        pytest.approx(0.15),
        pytest.approx(12.0),
    )
    both = score([BURST, SLOW], [Alarm(11 * DAY, "a"), Alarm(11 * DAY + HOUR, "a")])
    assert both.delays.keys() == {"burst", "slow"}


def test_too_late_too_early_or_elsewhere_is_false() -> None:
    alarms = [Alarm(14 * DAY, "a"), Alarm(9 * DAY, "a"), Alarm(11 * DAY, "b")]
    scored = score([BURST], alarms)
    assert (scored.delays, scored.false, scored.eur) == ({}, 3, -1500.0)


def test_a_known_leak_again_is_a_repeat() -> None:
    scored = score([BURST], [Alarm(11 * DAY, "a"), Alarm(12 * DAY, "a")])
    assert (len(scored.delays), scored.false, scored.repeats) == (1, 0, 1)


def test_after_its_repair_a_leak_cannot_be_found() -> None:
    brief = Leak("brief", "abrupt", "a", 10 * DAY, 11 * DAY, {})
    assert score([brief], [Alarm(11 * DAY + HOUR, "a")]).false == 1


def test_chance_is_the_share_of_time_a_window_covers() -> None:
    assert chance([BURST], [Alarm(0, "a")], 0, 30 * DAY) == pytest.approx(0.1, abs=0.06)
