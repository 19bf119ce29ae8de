"""Fields of an uplink → readings of datastreams, and what could not become one."""

import math
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from services.ingest.fleet import Device, Target
from services.ingest.uplink import USUAL, Clock, Record, Uplink, plausible
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


def map_uplink(
    uplink: Uplink, device: Device, received_at: datetime, clock: Clock = USUAL
) -> tuple[list[Reading], list[Item]]:
    """Every value of the uplink, as a reading in its canonical unit or as a rejected item."""
    readings: list[Reading] = []
    items: list[Item] = []
    if uplink.undecoded:
        items.append(Item("no_decoder", uplink.undecoded, ""))
    for record in uplink.records:
        if not plausible(record.time, received_at, clock):
            items.append(
                Item("bad_clock", f"event time {record.time.isoformat()}", str(record.time))
            )
            continue
        for name, raw in record.fields.items():
            if raw is None:  # null is a codec's way to say: no value
                continue
            outcome = _one(record, name, raw, device)
            (readings if type(outcome) is Reading else items).append(outcome)  # type: ignore[arg-type]
    return readings, items


def _one(record: Record, name: str, raw: object, device: Device) -> Reading | Item:
    target = device.targets.get(name)
    if target is None:
        return Item("unmapped", f"no property for field {name[:200]!r}", name)
    if not isinstance(raw, int | float):  # a bool is an int: 0 or 1
        return Item("not_a_number", f"{name}: {str(raw)[:100]!r}", f"{name} {record.time}")
    try:
        told = record.units.get(name) if record.units else None
        value = _converter(target, told)(float(raw))
    except UnitError as error:
        return Item("bad_unit", f"{name}: {error}", name)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        return Item("not_a_number", f"{name}: {str(raw)[:100]}", f"{name} {record.time}")
    return Reading(record.time, target.datastream_id, value, grade(value, target.hard, target.soft))


def _converter(target: Target, told_unit: str | None) -> Callable[[float], float]:
    """The unit in the message wins over the profile's: SenML says what it sends."""
    return _from_unit(told_unit, target.property) if told_unit else target.convert


@lru_cache(maxsize=1000)
def _from_unit(unit: str, name: str) -> Callable[[float], float]:
    return converter(unit, PROPERTIES[name].unit)
