"""Hours, days and weeks of a site's zone as instants."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

QUARTER_S: Final = 900  # every zone's offset is a multiple of it


def midnight(day: date, zone: str) -> datetime:
    """The instant (UTC) at which `day` begins in `zone`."""
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


def local_date(moment: datetime, zone: str) -> date:
    """The calendar day of an instant in `zone`."""
    return moment.astimezone(ZoneInfo(zone)).date()


def hour(moment: datetime, zone: str) -> datetime:
    """The instant (UTC) at which the local hour of an instant begins."""
    local = moment.astimezone(ZoneInfo(zone))
    return local.replace(minute=0, second=0, microsecond=0).astimezone(UTC)


def monday(moment: datetime, zone: str) -> date:
    """The first day of the week an instant falls in, in `zone`."""
    day = local_date(moment, zone)
    return day - timedelta(days=day.weekday())


def at(seconds: float) -> datetime:
    """An instant from seconds since 1970, to the microsecond."""
    return datetime.fromtimestamp(seconds, UTC)


@lru_cache(maxsize=512)
def midnights(first: date, last: date, zone: str) -> NDArray[np.float64]:
    """Beginnings of the days `first` … `last`, both included: seconds since 1970, ascending."""
    days = (last - first).days + 1
    return _fixed([midnight(first + timedelta(days=i), zone).timestamp() for i in range(days)])


@lru_cache(maxsize=512)
def hours(first: date, last: date, zone: str) -> NDArray[np.float64]:
    """Full local hours from midnight of `first` to midnight of `last`, both ends included.

    A day has 23 or 25 of them where clocks change, and +06:30 begins them at half past in UTC.
    """
    start, stop = midnight(first, zone).timestamp(), midnight(last, zone).timestamp()
    place = ZoneInfo(zone)
    quarters = np.arange(start, stop + 1, QUARTER_S)
    return _fixed([s for s in quarters if datetime.fromtimestamp(s, place).minute == 0])


def _fixed(seconds: list[float]) -> NDArray[np.float64]:
    """Read-only, because it is shared by every caller of the cache."""
    array = np.array(seconds, dtype=np.float64)
    array.flags.writeable = False
    return array
