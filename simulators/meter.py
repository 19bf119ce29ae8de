"""A household water meter: one pulse per litre, an index that only rises until it is exchanged."""

import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Final

from simulators.clock import EPOCH
from simulators.device import Frame, Recurring
from simulators.noise import uniform

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
# Percent of a household's day used in each hour: two peaks, and nights without a drop.
_USE: Final = (0, 0, 0, 0, 3, 8, 10, 8, 5, 4, 4, 4, 4, 3, 4, 4, 6, 8, 8, 6, 5, 3, 2, 1)
_USED_BEFORE: Final = (0, *accumulate(_USE))


@dataclass(frozen=True, slots=True)
class Meter:
    """daily_l: litres of a usual day; offset: local time minus UTC; exchange: when the meter is
    replaced by one that starts at 0; drip: when a leak behind it runs, at drip_l_h."""

    daily_l: float
    offset: timedelta = timedelta(0)
    exchange: Recurring | None = None
    drip: Recurring | None = None
    drip_l_h: float = 0.0

    def frame(self, name: str, seed: int, at: datetime) -> Frame:
        litres = index_l(self, name, seed, at)
        return Frame(3, struct.pack(">BI", 2, litres), {"volume_l": litres})


def index_l(meter: Meter, name: str, seed: int, at: datetime) -> int:
    """The index in whole litres."""
    used = _used_l(meter, name, seed, at)
    if meter.exchange:
        used -= _used_l(meter, name, seed, meter.exchange.latest(at))
    if meter.drip:
        used += meter.drip_l_h * (meter.drip.held(at) / _HOUR)
    return int(used)


def _used_l(meter: Meter, name: str, seed: int, at: datetime) -> float:
    """Litres used since EPOCH, without summing the past: every day's and hour's boundary is moved
    forward by its own share of chance, never past the next one."""
    day, rest = divmod(at + meter.offset - EPOCH, _DAY)
    hour, within = divmod(rest, _HOUR)
    begin, end = (d + 0.5 * uniform(seed, name, "day", d) for d in (day, day + 1))
    low, high = (_share_before(name, seed, day, h) for h in (hour, hour + 1))
    return meter.daily_l * (begin + (end - begin) * (low + (high - low) * (within / _HOUR)))


def _share_before(name: str, seed: int, day: int, hour: int) -> float:
    """Share of the day's use before an hour begins."""
    if hour in (0, 24):
        return hour / 24
    moved = 0.8 * _USE[hour] * uniform(seed, name, "hour", day, hour)
    return (_USED_BEFORE[hour] + moved) / _USED_BEFORE[24]
