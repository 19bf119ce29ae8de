"""When an alert may go out: quiet hours, and pauses between attempts."""

from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

LONGEST_S: Final = 3600.0

Hours = tuple[time, time]


def earliest(moment: datetime, hours: Hours | None, zone: str, severity: str) -> datetime:
    """`moment`, or the end (UTC) of the quiet hours it falls in. hours: begin and end on the
    clocks of `zone`, begin included, end not; critical alerts have none."""
    if hours is None or severity == "critical":
        return moment
    begin, end = hours
    local = moment.astimezone(ZoneInfo(zone))
    now = local.time()
    over_midnight = begin > end
    inside = (now >= begin or now < end) if over_midnight else begin <= now < end
    if not inside:
        return moment
    day = local.date() + timedelta(days=1 if over_midnight and now >= begin else 0)
    # Where clocks are put back, the hour comes twice: never before the moment itself.
    return max(moment, datetime.combine(day, end, local.tzinfo).astimezone(UTC))


def pause(attempts: int, first_s: float, chance: float) -> timedelta:
    """How long to wait after so many failed attempts: doubling from `first_s` to an hour.

    chance: a random number in [0, 1) that moves it by a quarter either way, so that alerts
    which failed together do not come back together.
    """
    doubled = first_s * 2.0 ** min(attempts - 1, 30)
    return timedelta(seconds=min(doubled, LONGEST_S) * (0.75 + chance / 2))
