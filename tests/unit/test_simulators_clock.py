"""Virtual time: whole weeks, and an anchor that survives a restart."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators import clock

NOW = datetime(2026, 11, 22, 17, 16, 47, tzinfo=UTC)
BEGIN = datetime(2010, 1, 1, tzinfo=UTC)
moments = st.integers(0, 900_000_000).map(lambda s: BEGIN + timedelta(seconds=s))


@given(newest=moments, now=moments)
def test_a_shift_is_whole_weeks_and_ends_within_the_last_week(
    newest: datetime, now: datetime
) -> None:
    shift = clock.shift_of("now", newest, now)
    assert shift % clock.WEEK == timedelta(0)
    assert timedelta(0) <= now - (newest + shift) < clock.WEEK


def test_no_shift_is_no_shift() -> None:
    assert clock.shift_of("none", NOW - timedelta(days=900), NOW) == timedelta(0)


def test_the_anchor_of_the_first_start_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "anchor"
    first = clock.remembered_anchor(file, NOW)
    assert first == datetime(2026, 11, 22, 17, tzinfo=UTC)
    assert clock.remembered_anchor(file, NOW + timedelta(days=30)) == first


def test_a_damaged_anchor_is_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "anchor"
    file.write_text("half a li")
    with pytest.raises(clock.AnchorError, match="anchor: holds no start time") as caught:
        clock.remembered_anchor(file, NOW)
    assert "\n" not in str(caught.value)
