"""A probe of several quantities that swing with the day, and what was planted into them."""

import math
import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from simulators.clock import EPOCH
from simulators.device import Frame, Recurring
from simulators.noise import between

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Event:
    """A change that comes in over `ramp`, stays, and goes over `ramp` before its span ends."""

    when: Recurring
    change: float
    ramp: timedelta

    def shift(self, at: datetime) -> float:
        """What it adds at a time."""
        begins = self.when.latest(at)
        inside = min(at - begins, begins + self.when.length - at) / self.ramp
        return self.change * min(max(inside, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Channel:
    """One quantity: its mean, half its daily swing, the UTC hour of its daily top, the noise to
    either side, the decimals it is sent with, the least it can be, and its events."""

    field: str
    mean: float
    swing: float = 0.0
    top_hour: float = 0.0
    noise: float = 0.0
    decimals: int = 2
    least: float = -math.inf
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """An instrument of these channels, sent on a port as 32-bit integers in their order."""

    f_port: int
    channels: tuple[Channel, ...]

    def frame(self, name: str, seed: int, at: datetime) -> Frame:
        raw = [
            round(value(channel, name, seed, at) * 10**channel.decimals)
            for channel in self.channels
        ]
        return Frame(
            self.f_port,
            struct.pack(f">B{len(raw)}i", self.f_port, *raw),
            {
                channel.field: number / 10**channel.decimals
                for channel, number in zip(self.channels, raw, strict=True)
            },
        )


def value(channel: Channel, name: str, seed: int, at: datetime) -> float:
    """The quantity at a time, before it is rounded."""
    turn = ((at - EPOCH) / _HOUR - channel.top_hour) / 24 % 1
    level = channel.mean + channel.swing * math.cos(math.tau * turn)
    level += between(-channel.noise, channel.noise, seed, name, channel.field, at.timestamp())
    return max(channel.least, level + sum(event.shift(at) for event in channel.events))
