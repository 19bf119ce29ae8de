"""A district flow meter: demand by the hour of the local day, and leaks behind it."""

import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from simulators.clock import EPOCH
from simulators.device import Frame, Recurring
from simulators.noise import between

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
# Demand in each local hour, as a multiple of the day's mean.
_WEEKDAY: Final = (
    *(0.34, 0.30, 0.30, 0.42, 0.95, 1.60, 1.85, 1.60, 1.25, 1.05, 0.95, 0.95),
    *(1.00, 0.95, 0.95, 1.10, 1.40, 1.60, 1.55, 1.25, 1.00, 0.80, 0.55, 0.40),
)
_WEEKEND: Final = (
    *(0.37, 0.33, 0.33, 0.40, 0.75, 1.30, 1.70, 1.80, 1.60, 1.35, 1.15, 1.10),
    *(1.10, 1.05, 1.00, 1.10, 1.35, 1.50, 1.45, 1.20, 1.00, 0.85, 0.60, 0.45),
)


@dataclass(frozen=True, slots=True)
class Leak:
    """Water lost at lps after `ramp`, from the begin of `when` until its repair."""

    when: Recurring
    lps: float
    ramp: timedelta = timedelta(0)

    def loss(self, at: datetime) -> float:
        """L/s at a time."""
        if not self.when.holds(at):
            return 0.0
        since = at - self.when.latest(at)
        return self.lps if since >= self.ramp else self.lps * (since / self.ramp)


@dataclass(frozen=True, slots=True)
class FlowMeter:
    """mean_lps: of a usual day behind this meter alone; offset: local time minus UTC; noise,
    day_noise: relative; beyond: the device whose water passes here first, and its meter."""

    mean_lps: float
    offset: timedelta
    leaks: tuple[Leak, ...] = ()
    beyond: tuple[str, "FlowMeter"] | None = None
    noise: float = 0.05
    day_noise: float = 0.03

    def frame(self, name: str, seed: int, at: datetime) -> Frame:
        centi = max(0, round(100 * flow_lps(self, name, seed, at)))
        return Frame(5, struct.pack(">BI", 5, centi), {"flow_lps": centi / 100})


def flow_lps(meter: FlowMeter, name: str, seed: int, at: datetime) -> float:
    """Flow in L/s, before the meter rounds it."""
    day, rest = divmod(at + meter.offset - EPOCH, _DAY)
    hour, within = divmod(rest, _HOUR)
    pattern = _WEEKEND if day % 7 in (3, 4) else _WEEKDAY  # EPOCH was a Wednesday
    here, there = pattern[hour], pattern[(hour + 1) % 24]
    shape = here + (there - here) * (within / _HOUR)
    shape *= 1 + between(-meter.day_noise, meter.day_noise, seed, name, "day", day)
    shape *= 1 + between(-meter.noise, meter.noise, seed, name, "noise", at.timestamp())
    passed_on = flow_lps(meter.beyond[1], meter.beyond[0], seed, at) if meter.beyond else 0.0
    return meter.mean_lps * shape + sum(leak.loss(at) for leak in meter.leaks) + passed_on
