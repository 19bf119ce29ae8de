"""A river gauge: a level with a daily swing, waves, the rise that each week's rain brings."""

import math
import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from simulators.clock import EPOCH, WEEK
from simulators.device import Frame
from simulators.noise import between
from simulators.probe import Event

TIME_TO_PEAK: Final = timedelta(hours=3)
_DAY: Final = timedelta(days=1)
_RIPPLE: Final = timedelta(minutes=10)
_WAVES_M: Final = 0.004


@dataclass(frozen=True, slots=True)
class Gauge:
    """Heights in metres above the gauge's datum. rises_m: what each week's rise adds, in turn;
    lag: how much later than upstream it comes; ripple_m: a wave of ten minutes; surge: metres
    that come and go apart from the weather."""

    base_m: float
    swing_m: float = 0.02
    rises_m: tuple[float, ...] = ()
    lag: timedelta = timedelta(0)
    ripple_m: float = 0.0
    surge: Event | None = None

    def frame(self, name: str, seed: int, at: datetime) -> Frame:
        mm = max(0, round(level_m(self, name, seed, at) * 1000))
        return Frame(2, struct.pack(">BH", 1, mm), {"level_cm": mm / 10})


def level_m(gauge: Gauge, name: str, seed: int, at: datetime) -> float:
    """Water level in metres, before the sensor rounds it to millimetres."""
    since = at - EPOCH
    level = gauge.base_m + gauge.swing_m * math.sin(math.tau * (since / _DAY % 1))
    level += gauge.ripple_m * math.sin(math.tau * (since / _RIPPLE % 1))
    level += gauge.surge.shift(at) if gauge.surge else 0.0
    for week in (since // WEEK - 1, since // WEEK):
        begins, height = rise(gauge, seed, week)
        if height and at > begins:
            x = (at - begins) / TIME_TO_PEAK
            level += height * x * math.exp(1 - x)  # 1 at its peak, then a long recession
    return level + between(-_WAVES_M, _WAVES_M, seed, name, "waves", at.timestamp())


def rise(gauge: Gauge, seed: int, week: int) -> tuple[datetime, float]:
    """When the rise of a week since EPOCH begins, and the metres it adds at its peak.

    Gauges of one seed share the weather: the same rain reaches each with its own lag.
    """
    begins = EPOCH + week * WEEK + timedelta(days=between(1, 5, seed, "rain", week)) + gauge.lag
    return begins, gauge.rises_m[week % len(gauge.rises_m)] if gauge.rises_m else 0.0
