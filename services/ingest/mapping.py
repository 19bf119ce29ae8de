"""Fields of an uplink → readings of datastreams, and what could not become one."""

import math
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from services.ingest.fleet import Device, Target
from services.ingest.uplink import Record, Uplink, brief, plausible
from shared.domain.property import PROPERTIES
from shared.domain.quality import grade
from shared.domain.unit import UnitError, converter


class Reading(NamedTuple):
    """One row of `reading`."""

    time: datetime
    datastream_id: int
    value: float
    quality: int


class Item(NamedTuple):
    """One part of a stored uplink that gave no reading. `about` tells equal faults apart."""

    reason: str
    detail: str
    about: str


def map_uplink(uplink: Uplink, device: Device, received_at: datetime) -> Iterator[Reading | Item]:
    """Every value of the uplink, as a reading in its canonical unit or as a rejected item."""
    if uplink.undecoded:
        yield Item("no_decoder", uplink.undecoded, "")
    for record in uplink.records:
        if not plausible(record.time, received_at):
            yield Item("bad_clock", f"event time {record.time.isoformat()}", str(record.time))
            continue
        for name, raw in record.fields.items():
            if raw is not None:  # null is a codec's way to say: no value
                yield _one(record, name, raw, device)


def _one(record: Record, name: str, raw: object, device: Device) -> Reading | Item:
    target = device.targets.get(name)
    if target is None:
        return Item("unmapped", f"no property for field {name[:200]!r}", name)
    if not isinstance(raw, int | float):  # a bool is an int: 0 or 1
        return Item("not_a_number", f"{name}: {brief(raw)}", f"{name} {record.time}")
    try:
        value = _converter(target, record.units.get(name))(float(raw))
    except UnitError as error:
        return Item("bad_unit", f"{name}: {error}", name)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        return Item("not_a_number", f"{name}: {brief(raw)}", f"{name} {record.time}")
    return Reading(record.time, target.datastream_id, value, grade(value, target.hard, target.soft))


def _converter(target: Target, told_unit: str | None) -> Callable[[float], float]:
    """The unit in the message wins over the profile's: SenML says what it sends."""
    return _from_unit(told_unit, target.property) if told_unit else target.convert


@lru_cache(maxsize=1000)
def _from_unit(unit: str, name: str) -> Callable[[float], float]:
    return converter(unit, PROPERTIES[name].unit)
