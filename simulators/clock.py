"""Virtual time: fixed ticks, whole-week shifts, and the moment a simulation was first started."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from shared.errors import OperatorError

# Ticks count from here, never from now: a later start gives the same messages for the same times.
EPOCH: Final = datetime(2020, 1, 1, tzinfo=UTC)
WEEK: Final = timedelta(weeks=1)

Shift = Literal["none", "now"]


class AnchorError(OperatorError):
    """The file that remembers when the simulation began cannot be used."""


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def whole_weeks(newest: datetime, now: datetime) -> timedelta:
    """The shift by whole weeks that brings `newest` closest to, never past, `now`.

    Weeks, not days: weekdays and hours of the day keep their meaning.
    """
    return (now - newest) // WEEK * WEEK


def shift_of(rule: Shift, newest: datetime, now: datetime) -> timedelta:
    """How far recorded times move: not at all, or by whole weeks up to now."""
    return timedelta(0) if rule == "none" else whole_weeks(newest, now)


def floored(moment: datetime, step: timedelta) -> datetime:
    """The last multiple of `step` since EPOCH at or before `moment`."""
    return EPOCH + (moment - EPOCH) // step * step


def anchor(now: datetime) -> datetime:
    """Where a simulation starting at `now` is anchored: the hour it started in."""
    return floored(now, timedelta(hours=1))


def remembered_anchor(file: Path, now: datetime) -> datetime:
    """The anchor kept in `file`; written there at the first start.

    A second start must not shift recorded series by another week: the same device would then have
    two values at one time. Raises AnchorError when the file holds something else.
    """
    try:
        return datetime.fromisoformat(file.read_text(encoding="ascii").strip()).astimezone(UTC)
    except FileNotFoundError:
        first = anchor(now)
        beside = file.with_name(f"{file.name}.new")
        beside.write_text(f"{first.isoformat()}\n", encoding="ascii")
        beside.rename(file)
        return first
    except (ValueError, OSError) as error:
        raise AnchorError(f"{file}: holds no start time ({error}): name another --data") from None
