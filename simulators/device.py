"""A simulated device: when it sends, when it is silent, what goes over the air.

No state is carried from one reading to the next: the reading of tick k is the same whether the
simulation began a month or a minute before it.
"""

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


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When a device sends: every interval_s, phase_s into it, late by up to jitter_s."""

    interval_s: int
    phase_s: float = 0.0
    jitter_s: float = 0.0

    def __post_init__(self) -> None:
        if self.phase_s + self.jitter_s >= self.interval_s:
            raise ValueError("phase and jitter must stay within one interval")


@dataclass(frozen=True, slots=True)
class Recurring:
    """A span that comes back every CYCLE: `start` after the cycle's beginning, `length` long."""

    start: timedelta
    length: timedelta = timedelta(0)

    def holds(self, at: datetime) -> bool:
        return self.start <= (at - EPOCH) % CYCLE < self.start + self.length

    def latest(self, at: datetime) -> datetime:
        """When its last occurrence at or before `at` began."""
        return EPOCH + (at - EPOCH - self.start) // CYCLE * CYCLE + self.start

    def held(self, at: datetime) -> timedelta:
        """How long it has held in all, from EPOCH to `at`."""
        cycles, rest = divmod(at - EPOCH, CYCLE)
        return cycles * self.length + min(max(rest - self.start, timedelta(0)), self.length)

    def touching(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Its occurrences that touch [start, end)."""
        begins = self.latest(start)
        while begins < end:
            if begins + self.length > start:
                yield begins, begins + self.length
            begins += CYCLE


@dataclass(frozen=True, slots=True)
class Device:
    """One device: its key in the site file, its radio id, what it observes, when it is silent."""

    key: str
    eui: str
    rhythm: Rhythm
    instrument: Instrument
    silences: tuple[Recurring, ...] = ()


def ticks(device: Device, seed: int, start: datetime) -> Iterator[tuple[int, datetime]]:
    """Frame counter and time of every uplink from `start` on, without end.

    Counters run on through a silence, as with frames that no gateway heard.
    """
    rhythm = device.rhythm
    count = max(0, int((start - EPOCH).total_seconds()) // rhythm.interval_s - 1)
    while True:
        late_s = rhythm.jitter_s * uniform(seed, device.key, "jitter", count)
        at = EPOCH + timedelta(
            seconds=count * rhythm.interval_s, milliseconds=round((rhythm.phase_s + late_s) * 1000)
        )
        if at >= start and not any(silence.holds(at) for silence in device.silences):
            yield count, at
        count += 1
