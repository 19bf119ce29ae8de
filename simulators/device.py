"""A simulated device: when it sends, when it is silent, what goes over the air.

No state is carried from one reading to the next: the reading of tick k is the same whether the
simulation began a month or a minute before it.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from simulators.clock import EPOCH
from simulators.noise import uniform

CYCLE: Final = timedelta(weeks=5)  # planted faults come back once in any 35 days


@dataclass(frozen=True, slots=True)
class Frame:
    """What goes over the air: port and bytes, and the object a codec makes of them."""

    f_port: int
    data: bytes
    object: Mapping[str, float]


class Instrument(Protocol):
    """What a device observes with. A pure function: same name, seed and time, same frame."""

    def frame(self, name: str, seed: int, at: datetime) -> Frame: ...


class Schedule(Protocol):
    """When a device sends. A pure function too; counters and times ascend."""

    def beats(self, name: str, seed: int, start: datetime) -> Iterator[tuple[int, datetime]]:
        """Frame counter and time of every uplink from `start` on, without end."""
        ...


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When a device sends: every interval_s, phase_s into it, late by up to jitter_s."""

    interval_s: int
    phase_s: float = 0.0
    jitter_s: float = 0.0

    def __post_init__(self) -> None:
        if self.phase_s + self.jitter_s >= self.interval_s:
            raise ValueError("phase and jitter must stay within one interval")

    def beats(self, name: str, seed: int, start: datetime) -> Iterator[tuple[int, datetime]]:
        """Counted from EPOCH, so that a later start gives the same counters."""
        first = max(0, int((start - EPOCH).total_seconds()) // self.interval_s - 1)
        for count in itertools.count(first):
            late_s = self.jitter_s * uniform(seed, name, "jitter", count)
            milliseconds = round((self.phase_s + late_s) * 1000)
            at = EPOCH + timedelta(seconds=count * self.interval_s, milliseconds=milliseconds)
            if at >= start:
                yield count, at


@dataclass(frozen=True, slots=True)
class Recurring:
    """A span that comes back: `start` after each beginning of a cycle, `length` long."""

    start: timedelta
    length: timedelta = timedelta(0)
    every: timedelta = CYCLE

    def holds(self, at: datetime) -> bool:
        return at < self.latest(at) + self.length

    def latest(self, at: datetime) -> datetime:
        """When its last occurrence at or before `at` began."""
        return EPOCH + (at - EPOCH - self.start) // self.every * self.every + self.start

    def held(self, at: datetime) -> timedelta:
        """How long it has held in all, from its first occurrence after EPOCH to `at`."""
        cycles, rest = divmod(at - EPOCH - self.start, self.every)
        return cycles * self.length + min(rest, self.length) if cycles >= 0 else timedelta(0)

    def touching(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Its occurrences that touch [start, end)."""
        begins = self.latest(start)
        while begins < end:
            if begins + self.length > start:
                yield begins, begins + self.length
            begins += self.every


def recurring(
    first: datetime, length: timedelta = timedelta(0), every: timedelta = CYCLE
) -> Recurring:
    """A span of `length` that begins at `first`, and every cycle before and after it."""
    return Recurring((first - EPOCH) % every, length, every)


@dataclass(frozen=True, slots=True)
class Device:
    """One device: its key in the site file, its radio id, when it sends, what it observes, when
    it is silent, and when its battery is empty for good."""

    key: str
    eui: str
    rhythm: Schedule
    instrument: Instrument
    silences: tuple[Recurring, ...] = ()
    dies: datetime | None = None


def ticks(device: Device, seed: int, start: datetime) -> Iterator[tuple[int, datetime]]:
    """Frame counter and time of every uplink from `start` on, until it dies.

    Counters run on through a silence, as with frames that no gateway heard.
    """
    for count, at in device.rhythm.beats(device.key, seed, start):
        if device.dies and at >= device.dies:
            return
        if not any(silence.holds(at) for silence in device.silences):
            yield count, at
