"""Fields of an uplink → readings of datastreams, and what could not become one."""

import math
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

from services.ingest.fleet import Device, Target
from services.ingest.uplink import USUAL, Clock, Uplink, brief, plausible
from shared.domain.property import PROPERTIES
from shared.domain.quality import grade
from shared.domain.unit import UnitError, converter

_NUMBER: Final = (int, float)


# One row of `reading`: time, datastream, value, quality. A plain tuple: there are many.
Reading = tuple[datetime, int, float, int]


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
        time, units = record.time, record.units
        if not plausible(time, received_at, clock):
            items.append(Item("bad_clock", f"event time {time.isoformat()}", str(time)))
            continue
        for name, raw in record.fields.items():
            if raw is None:  # null is a codec's way to say: no value
                continue
            target = device.targets.get(name)
            told = units.get(name) if units else None
            value = _value(target, raw, told)
            if value is None or target is None:
                items.append(_unusable(target, name, raw, told, time))
            else:
                quality = grade(value, target.hard, target.soft)
                readings.append((time, target.datastream_id, value, quality))
    return readings, items


def _value(target: Target | None, raw: object, told_unit: str | None) -> float | None:
    """In the canonical unit; None for what cannot become a reading."""
    if target is None or not isinstance(raw, _NUMBER):  # a bool is an int: 0 or 1
        return None
    try:
        value = (_from_unit(told_unit, target.property) if told_unit else target.convert)(
            float(raw)
        )
    except (UnitError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def _unusable(
    target: Target | None, name: str, raw: object, told_unit: str | None, time: datetime
) -> Item:
    """Why a value gave no reading."""
    if target is None:
        return Item("unmapped", f"no property for field {name[:200]!r}", name)
    if isinstance(raw, _NUMBER) and told_unit:
        try:
            _from_unit(told_unit, target.property)
        except UnitError as error:
            return Item("bad_unit", f"{name}: {error}", name)
    return Item("not_a_number", f"{name}: {brief(raw)}", f"{name} {time}")


@lru_cache(maxsize=1000)
def _from_unit(unit: str, name: str) -> Callable[[float], float]:
    """The unit in the message wins over the profile's: SenML says what it sends. Raises
    UnitError."""
    return converter(unit, PROPERTIES[name].unit)
