"""What ingest must make of a stream of messages: the rules written a second time, in dicts."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

FIRST_TIME: Final = datetime(2010, 1, 1, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)


class Value(NamedTuple):
    """One field of a message as its sender means it, in the canonical unit of its property."""

    field: str
    property: str | None  # None: no profile knows the field
    value: float  # what arrived there
    time: datetime | None = None  # None: that of the message
    fault: str = ""  # why it is no reading: not_a_number, bad_unit


class Told(NamedTuple):
    """One message as its sender means it. Devices and sources are named site/key."""

    topic: str
    payload: bytes
    source: str | None
    device: str | None
    key: str | None = None  # None: it carries none, so each arrival is another message
    time: datetime | None = None  # None: it carries none and means now
    values: tuple[Value, ...] = ()
    fault: str = ""  # why nobody can read it
    item: str = ""  # what the message as a whole lacks, though it is stored
    personal: bool = False


# hard and soft span of each property, in its canonical unit
RANGES: Final[Mapping[str, tuple[tuple[float, float], tuple[float, float] | None]]] = {
    "water_level": ((-50, 100), None),
    "rainfall": ((0, 500), (0, 100)),
    "air_temperature": ((-60, 70), (-10, 50)),
    "flow": ((-1e6, 1e6), None),
    "battery_voltage": ((0, 60), None),
}


def quality(name: str, value: float) -> int:
    """Outside the hard span 4, outside the soft one 3, else 1; spans are inclusive."""
    hard, soft = RANGES[name]
    if not hard[0] <= value <= hard[1]:
        return 4
    return 3 if soft and not soft[0] <= value <= soft[1] else 1


class Model:
    """owners: who each registered device publishes as; zones: by site."""

    def __init__(self, zones: Mapping[str, str]) -> None:
        self.zones = {site: ZoneInfo(zone) for site, zone in zones.items()}
        self.owners: dict[str, str] = {}
        self.uplinks: dict[Any, Any] = {}
        self.readings: dict[tuple[str, str], dict[datetime, tuple[float, int]]] = {}
        self.refused: dict[tuple[str, str], Any] = {}
        self.items: dict[Any, Any] = {}
        self.feedback: set[Any] = set()
        self.ledger: Counter[Any] = Counter()

    def take(self, told: Told, at: datetime) -> str:
        """stored, repeat or rejected. A repeat changes nothing, unless it brings new values."""
        reason, digest = self._fault(told, at), hashlib.md5(told.payload).hexdigest()
        known = told.source and not told.fault and self.owners.get(told.device or "") == told.source
        device = told.device if known else None
        if told.personal:
            return self._count_once(self.feedback, told, reason, digest, at)
        if reason:
            if (told.topic, digest) in self.refused:
                return self._count("repeat", told, device, at)
            self.refused[told.topic, digest] = (told.source, device, reason, at)
            self._count(f"rejected:{reason}", told, device, at)
            return "rejected"
        key = (told.topic, told.key or (at, digest))
        time = told.time or at
        new = (*key, time) not in self.uplinks
        outcome = self._count("stored" if new else "repeat", told, device, at)
        if new:
            self.uplinks[*key, time] = (at, told.source, device, digest)
            if told.key is None:
                self._count("unkeyed", told, device, at)
            self._redeem(told.topic, digest)
        self._take_values(told, key, time, at)
        return outcome

    def _fault(self, told: Told, at: datetime) -> str:
        """Why the whole message is refused: the first of these that holds."""
        if told.source is None:
            return "unknown_source"
        if told.fault:
            return told.fault
        if told.personal:
            return ""
        if told.device not in self.owners:
            return "unknown_device"
        if self.owners[told.device] != told.source:
            return "wrong_source"
        times = [value.time or told.time or at for value in told.values]
        own = told.time or at
        if not believable(own, at) or (times and not any(believable(t, at) for t in times)):
            return "bad_clock"
        return ""

    def _redeem(self, topic: str, digest: str) -> None:
        """The very bytes that were refused are stored now: they count no longer as refused."""
        if was := self.refused.pop((topic, digest), None):
            source, device, reason, at = was
            self.ledger[source, device, hour_of(at), f"rejected:{reason}"] -= 1

    def _take_values(self, told: Told, key: Any, time: datetime, at: datetime) -> None:
        """The first value of a datastream and time stays. Another one is a conflict, counted once
        for each distinct value; a difference of 1e-9 is none. What is no reading counts once."""
        if told.item:
            self._item((key, told.item), told.item, told, at)
        for value in told.values:
            when = value.time or time
            if not believable(when, at):
                self._item((key, "bad_clock", when), "bad_clock", told, at)
            elif value.property is None:
                self._item((told.device, value.field), "unmapped", told, at)
            elif value.fault:
                about = when if value.fault == "not_a_number" else None
                self._item((key, value.fault, value.field, about), value.fault, told, at)
            else:
                assert told.device
                stream = self.readings.setdefault((told.device, value.property), {})
                graded = (value.value, quality(value.property, value.value))
                first = stream.setdefault(when, graded)[0]
                if abs(first - value.value) > 1e-9 * max(abs(first), abs(value.value)):
                    place = (told.device, value.property, when, value.value)
                    self._item(place, "conflict", told, at)

    def _item(self, about: Any, reason: str, told: Told, at: datetime) -> None:
        if about not in self.items:
            self.items[about] = (told.source, told.device, reason, at, told.topic)
            self._count(f"item:{reason}", told, told.device, at)

    def _count_once(
        self, seen: set[Any], told: Told, reason: str, digest: str, at: datetime
    ) -> str:
        """Citizens' words are kept elsewhere, refused ones too."""
        about = (told.topic, told.key or digest)
        if about in seen:
            return self._count("repeat", told, None, at)
        seen.add(about)
        self._count(f"rejected:{reason}" if reason else "stored", told, None, at)
        return "rejected" if reason else "stored"

    def _count(self, kind: str, told: Told, device: str | None, at: datetime) -> str:
        self.ledger[told.source, device, hour_of(at), kind] += 1
        return kind

    def latest(self) -> dict[tuple[str, str], tuple[datetime, float, int]]:
        """The reading of the newest time of each datastream, whenever it arrived."""
        return {s: (max(times), *times[max(times)]) for s, times in self.readings.items()}

    def hourly(self) -> dict[Any, Any]:
        """By hour of the site's zone: n, n_good, sum, min, max, first, last of the good ones."""
        cells: dict[Any, list[tuple[float, int]]] = {}
        for stream, times in self.readings.items():
            zone = self.zones[stream[0].partition("/")[0]]
            for time in sorted(times):
                cells.setdefault((*stream, local_hour(time, zone)), []).append(times[time])
        return {cell: figures(values) for cell, values in cells.items()}


def figures(values: list[tuple[float, int]]) -> tuple[Any, ...]:
    """Qualities 1 and 2 are good; without a good one there are no figures."""
    good = [value for value, graded in values if graded <= 2]
    if not good:
        return (len(values), 0, None, None, None, None, None)
    total = 0.0
    for value in good:  # one after another: `sum` of newer Pythons adds otherwise
        total += value
    return (len(values), len(good), total, min(good), max(good), good[0], good[-1])


def believable(time: datetime, at: datetime) -> bool:
    """From 2010 to ten minutes after arrival."""
    return FIRST_TIME <= time <= at + timedelta(minutes=10)


def hour_of(at: datetime) -> datetime:
    """UTC hour of arrival, as the ledger counts."""
    return at.replace(minute=0, second=0, microsecond=0)


def local_hour(time: datetime, zone: ZoneInfo) -> datetime:
    """Begin of the hour on a clock of that zone: half past in Yangon, and twice when set back."""
    shift = time.astimezone(zone).utcoffset()
    assert shift is not None
    return hour_of(time + shift) - shift
