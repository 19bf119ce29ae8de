"""A stream of messages as a city sends them, each with what its sender means by it."""

import heapq
import itertools
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from tests.integration.event_city import (
    GAUGE,
    LATE_FROM,
    LIKELY,
    MINUTE,
    PLAIN,
    SPAN,
    START,
    ZONES,
    eui,
)
from tests.integration.event_model import Told, Value


class Stream:
    """Messages in the order of their arrival, `count` different ones and more deliveries."""

    def __init__(self, draw: random.Random, count: int) -> None:
        self._draw, self._count = draw, count
        self._numbers = itertools.count()
        self._past: list[Told] = []
        self._waiting: list[tuple[datetime, int, Told]] = []

    def deliveries(self) -> Iterator[tuple[datetime, Told]]:
        """Most within a minute, some after hours, a few after days; one in eight once more."""
        for number in range(self._count):
            now = START + SPAN * number / self._count
            told = self._message(now)
            self._deliver(now, told)
            if self._draw.random() < 0.125:
                self._deliver(now, told)
            while self._waiting and self._waiting[0][0] <= now:
                at, _, due = heapq.heappop(self._waiting)
                yield at, due
        while self._waiting:
            at, _, due = heapq.heappop(self._waiting)
            yield at, due

    def _deliver(self, now: datetime, told: Told) -> None:
        longest = self._draw.choices((MINUTE, 300 * MINUTE, 6000 * MINUTE), (85, 10, 5))[0]
        at = now + self._draw.random() * longest
        heapq.heappush(self._waiting, (at, next(self._numbers), told))
        device = (told.device or "").partition("/")[2]
        if device in ("late", "moved") and now < LATE_FROM and self._draw.random() < 0.7:
            again = LATE_FROM + self._draw.random() * 300 * MINUTE
            heapq.heappush(self._waiting, (again, next(self._numbers), told))

    def _message(self, now: datetime) -> Told:
        make = self._draw.choices([kind for kind, _ in _KINDS], [often for _, often in _KINDS])[0]
        return make(self, self._draw.choice([*ZONES]), now)

    def _plain(
        self, site: str, time: datetime | None, device: str = "", known_as: str = ""
    ) -> Told:
        """An object with an id, a number, only its time, or nothing to be known by."""
        device = device or self._draw.choice(PLAIN)
        meant = self._values(device)
        number = next(self._numbers)
        named: dict[str, Any] = self._draw.choice([{"id": f"m{number}"}, {"seq": number}, {}])
        if known_as:
            named = {"id": known_as}
        body = named | {"n": number, "values": {field: raw for field, raw, _ in meant}}
        if time:
            body["time"] = time.isoformat()
        topic, payload = f"livinglab/{site}/{device}/up", json.dumps(body).encode()
        values = tuple(value for *_, value in meant if value)
        key = str(named.get("id", number)) if time else None  # an id begins with m
        return Told(topic, payload, f"{site}/plain", f"{site}/{device}", key, time, values)

    def _values(self, device: str) -> list[tuple[str, Any, Value | None]]:
        """One to three fields: as written, as sent, as meant."""
        made = []
        for field in self._draw.sample([*GAUGE], self._draw.randint(1, 3)):
            name, canonical = GAUGE[field]
            raw = round(self._draw.uniform(*LIKELY[name]), self._draw.choice((0, 2, 6)))
            if device == "free":  # without a profile: properties in their canonical units
                made.append((name, canonical(raw), Value(name, name, canonical(raw))))
            else:
                made.append((field, raw, Value(field, name, canonical(raw))))
        odd = self._draw.random()
        if odd < 0.02:
            made.append(("mood", 3, Value("mood", None, 3)))
        elif odd < 0.03:
            name = "flow" if device == "free" else "pump"
            made = [each for each in made if each[0] != name]
            made.append((name, "dry", Value(name, "flow", 0, fault="not_a_number")))
        elif odd < 0.04:
            made.append(("silent", None, None))  # null is a codec's way to say: no value
        return made

    def _measured(self, site: str, now: datetime) -> Told:
        told = self._plain(site, self._moment(now))
        first = told.values[0]
        if first.field in GAUGE and not first.fault and self._draw.random() < 0.3:
            self._past.append(told)
            del self._past[:-2000]
        return told

    def _moment(self, now: datetime) -> datetime:
        """Milliseconds, seconds or full minutes: the coarser, the likelier to be met again."""
        second, milli = now.replace(microsecond=0), now.microsecond // 1000 * 1000
        return self._draw.choice((second, second.replace(second=0), now.replace(microsecond=milli)))

    def _contradicts(self, site: str, now: datetime) -> Told:
        """Another value, or nearly the same, for a datastream and time already told; or another
        message that is known as the same, and tells what the first did not."""
        if not self._past:
            return self._measured(site, now)
        before = self._draw.choice(self._past)
        site, _, device = (before.device or "").partition("/")
        assert before.time
        assert before.key
        if before.key.startswith("m") and self._draw.random() < 0.5:
            return self._plain(site, before.time, device, known_as=before.key)
        first = before.values[0]
        near, far = first.value * (1 + 1e-12), first.value + self._draw.choice((1, 2))
        value = near if self._draw.random() < 0.3 else far
        unit = {"level": "m", "rain": "mm", "temp": "Cel", "pump": "L/s"}[first.field]
        record = {"bt": before.time.timestamp(), "n": first.field, "u": unit, "v": value}
        meant = Value(first.field, first.property, value, before.time)
        return self._pack(site, device, [record | {"s": self._serial()}], [meant])

    def _serial(self) -> int:
        return next(self._numbers)

    def _history(self, site: str, now: datetime) -> Told:
        """A SenML pack of several times and units; one record may be of 2009, or tell no length."""
        device, base = self._draw.choice(("g1", "g2", "late")), now.replace(microsecond=0)
        records: list[dict[str, Any]] = [
            {"bn": device, "bt": base.timestamp(), "s": self._serial()}
        ]
        values = []
        for step in range(self._draw.randint(1, 6)):
            time = base - step * 37 * MINUTE
            if step and self._draw.random() < 0.02:
                time = datetime(2009, 12, 31, hour=step, tzinfo=UTC)
            unit, factor = self._draw.choice((("m", 1.0), ("cm", 100.0)))
            raw = round(self._draw.uniform(-60, 110) * factor, 3)
            record = {"n": "level", "u": unit, "v": raw, "t": (time - base).total_seconds()}
            fault = ""
            if self._draw.random() < 0.01:
                record["u"], fault = "Cel", "bad_unit"
            records.append(record)
            values.append(Value("level", "water_level", raw / factor, time, fault))
        return self._pack(site, device, records, values)

    def _pack(
        self, site: str, device: str, records: list[dict[str, Any]], values: list[Value]
    ) -> Told:
        topic, payload = f"livinglab/{site}/{device}/up", json.dumps(records).encode()
        newest = max(value.time for value in values if value.time)
        key = payload.decode()
        return Told(topic, payload, f"{site}/plain", f"{site}/{device}", key, newest, tuple(values))

    def _radio(self, site: str, now: datetime) -> Told:
        """A LoRaWAN uplink, decoded but for one in twenty."""
        number, level = next(self._numbers), round(self._draw.uniform(-6000, 11000), 1)
        body: dict[str, Any] = {
            "deduplicationId": f"d{number}",
            "time": now.isoformat(),
            "deviceInfo": {"devEui": eui(site)},
            "fCnt": number % 2**32,
            "fPort": 2,
            "data": "AQID",
            "rxInfo": [{"gatewayId": f"ac1f09fffe00000{number % 3}", "rssi": -97}],
        }
        values: tuple[Value, ...] = ()
        if decoded := self._draw.random() > 0.05:
            body["object"] = {"level": level, "battery": {"volt": 3.5}, "state": "ok"}
            values = (
                Value("object.level", "water_level", level / 100),
                Value("object.battery.volt", "battery_voltage", 3.5),
                Value("object.state", None, 0),
            )
        return Told(
            f"application/{site}/device/{eui(site)}/event/up",
            json.dumps(body).encode(),
            f"{site}/radio",
            f"{site}/radio",
            f"d{number}",
            now,
            values,
            item="" if decoded else "no_decoder",
        )

    def _unkeyed(self, site: str, _now: datetime) -> Told:
        return self._plain(site, None)

    def _unreadable(self, site: str, _now: datetime) -> Told:
        number = next(self._numbers)
        body, fault = self._draw.choice(
            [
                (b'{"values": {"level": %d' % number, "bad_json"),
                (b"\xff\xfe%d" % number, "bad_json"),
                (b'{"values": [%d]}' % number, "bad_message"),
                (b'[{"n": "level", "v": "%d"}]' % number, "bad_message"),
            ]
        )
        topic = f"livinglab/{site}/g1/up"
        return Told(topic, body, f"{site}/plain", f"{site}/g1", fault=fault)

    def _wrong_clock(self, site: str, now: datetime) -> Told:
        """From 2009 it is refused for ever; from the next hour until that has come."""
        ahead = now.replace(microsecond=0) + 240 * MINUTE
        time = self._draw.choice((ahead, datetime(2009, 5, 1, tzinfo=UTC)))
        told = self._plain(site, time, "g1")
        if time == ahead:
            again = time + self._draw.random() * 60 * MINUTE
            heapq.heappush(self._waiting, (again, next(self._numbers), told))
        return told

    def _stranger(self, site: str, now: datetime) -> Told:
        """A device nobody registers, or one that publishes where no source does."""
        if self._draw.random() < 0.5:
            return self._plain(site, now, "ghost")
        told = self._plain(site, now, "g1")
        return told._replace(topic=f"elsewhere/{site}/up", source=None)

    def _citizen(self, site: str, now: datetime) -> Told:
        number = next(self._numbers)
        said = {"id": f"f{number}", "time": now.isoformat(), "service_code": "flood"}
        said["description"] = "Banjir"
        topic, payload = f"livinglab/{site}/feedback", json.dumps(said).encode()
        told = Told(topic, payload, f"{site}/plain", None, f"f{number}", now, personal=True)
        if self._draw.random() < 0.2:
            return told._replace(payload=payload[:-1], key=None, fault="bad_json")
        return told


_KINDS: Final[list[tuple[Callable[[Stream, str, datetime], Told], int]]] = [
    (Stream._measured, 55),
    (Stream._radio, 15),
    (Stream._history, 8),
    (Stream._unkeyed, 6),
    (Stream._contradicts, 6),
    (Stream._unreadable, 3),
    (Stream._wrong_clock, 3),
    (Stream._stranger, 3),
    (Stream._citizen, 1),
]
