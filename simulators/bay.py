"""A parking bay's sensor: one uplink when a car comes, one when it leaves, and signs of life.

The counter starts again once a week, when the sensor joins its network anew.
"""

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from simulators.clock import EPOCH
from simulators.device import Frame, Recurring
from simulators.noise import between, uniform

_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)
_OPENS, _CLOSES = timedelta(hours=6, minutes=30), timedelta(hours=21)
Stay = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Bay:
    """Schedule and instrument of one bay; minutes of local time, `offset` being local minus UTC.

    gap_min, stay_min: shortest and longest vacancy and stay of a usual day; without gap_min only
    the planted stays happen. planted: stays put there on purpose, in the place of usual ones.
    """

    offset: timedelta
    gap_min: tuple[float, float] | None
    stay_min: tuple[float, float] = (8.0, 100.0)
    planted: tuple[Recurring, ...] = ()
    keep_alive: timedelta = timedelta(hours=4)

    def beats(self, name: str, seed: int, start: datetime) -> Iterator[tuple[int, datetime]]:
        """Frame counter and time of every uplink from `start` on, without end."""
        first = (start - EPOCH + self.offset) // _DAY // 7 * 7
        for monday in itertools.count(first, 7):
            week = (at for day in range(monday, monday + 7) for at in self._sent(name, seed, day))
            yield from ((count, at) for count, at in enumerate(week) if at >= start)

    def frame(self, name: str, seed: int, at: datetime) -> Frame:
        day = (at - EPOCH + self.offset) // _DAY
        occupied = any(come <= at < go for come, go in stays(self, name, seed, day))
        battery = round(36 - between(0, 2, name, "battery"))
        data = struct.pack(">BBB", 4, occupied, battery)
        return Frame(4, data, {"occupied": int(occupied), "battery_v": battery / 10})

    def _sent(self, name: str, seed: int, day: int) -> list[datetime]:
        """Times of a local day's uplinks, ascending, each once."""
        midnight = EPOCH + day * _DAY - self.offset
        phase = int(between(0, self.keep_alive.total_seconds(), name, "phase"))
        first = midnight + timedelta(seconds=phase)
        alive = (first + n * self.keep_alive for n in range(_DAY // self.keep_alive))
        changes = itertools.chain.from_iterable(stays(self, name, seed, day))
        return sorted({*alive, *(at for at in changes if midnight <= at < midnight + _DAY)})


@lru_cache(maxsize=4096)
def stays(bay: Bay, name: str, seed: int, day: int) -> tuple[Stay, ...]:
    """When a car stood in the bay on a local day (counted from EPOCH): come, go; in order."""
    midnight = EPOCH + day * _DAY - bay.offset
    planted = [s for each in bay.planted for s in each.touching(midnight, midnight + _DAY)]
    usual = [
        (come, go)
        for come, go in _usual(bay, name, seed, day)
        if all(go + _MINUTE < a or b + _MINUTE < come for a, b in planted)
    ]
    return tuple(sorted(planted + usual))


def _usual(bay: Bay, name: str, seed: int, day: int) -> Iterator[Stay]:
    """Cars of opening hours; fewer on Sundays (EPOCH was a Wednesday)."""
    if bay.gap_min is None:
        return
    midnight = EPOCH + day * _DAY - bay.offset
    rarer = 2.0 if day % 7 == 4 else 1.0
    at = midnight + _OPENS
    for number in itertools.count():
        wait = rarer * _skewed(bay.gap_min, seed, name, day, number, "gap")
        come = at + timedelta(seconds=round(60 * wait))
        at = come + timedelta(
            seconds=round(60 * _skewed(bay.stay_min, seed, name, day, number, "stay"))
        )
        if at >= midnight + _CLOSES:
            return
        yield come, at


def _skewed(span: tuple[float, float], *about: object) -> float:
    """A number in the span, small ones more often."""
    return span[0] + (span[1] - span[0]) * uniform(*about) ** 2
