"""Local hours, days and weeks as instants."""

from datetime import UTC, date, datetime

import pytest

from services.analytics import local_time


@pytest.mark.parametrize(
    ("zone", "day", "begins", "hours"),
    [
        ("Asia/Jakarta", date(2026, 3, 1), "2026-02-28T17:00", 24),
        ("Asia/Yangon", date(2026, 3, 1), "2026-02-28T17:30", 24),
        ("Europe/London", date(2025, 10, 26), "2025-10-25T23:00", 25),
        ("Europe/London", date(2025, 3, 30), "2025-03-30T00:00", 23),
    ],
)
def test_a_day_begins_at_local_midnight(zone: str, day: date, begins: str, hours: int) -> None:
    instant = datetime.fromisoformat(begins).replace(tzinfo=UTC)
    assert local_time.midnight(day, zone) == instant
    edges = local_time.hours(day, date.fromordinal(day.toordinal() + 1), zone)
    assert len(edges) - 1 == hours
    assert edges[0] == instant.timestamp()
    assert set((edges[1:] - edges[:-1]).tolist()) == {3600.0}


def test_a_week_begins_on_the_local_monday() -> None:
    moment = datetime(2026, 3, 1, 18, tzinfo=UTC)  # Monday 01:00 in Jakarta
    assert local_time.monday(moment, "Asia/Jakarta") == date(2026, 3, 2)
    assert local_time.monday(moment, "Europe/London") == date(2026, 2, 23)


def test_cached_edges_cannot_be_changed() -> None:
    edges = local_time.midnights(date(2026, 1, 1), date(2026, 1, 3), "Asia/Jakarta")
    with pytest.raises(ValueError, match="read-only"):
        edges[0] = 0
