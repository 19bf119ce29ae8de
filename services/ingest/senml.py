"""SenML JSON packs resolved to absolute records (RFC 8428 section 4)."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from services.ingest.uplink import brief

_RELATIVE_BELOW: Final = 2**28  # RFC 8428 section 4.5.3
_VERSION: Final = 10


class SenmlError(ValueError):
    """The pack breaks RFC 8428, or names another device than its topic."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """One record; `absolute` is false when its time was counted from our clock."""

    name: str
    time: datetime
    value: object
    unit: str | None
    absolute: bool


def resolve(pack: list[Any], *, base_name: str, now: datetime) -> list[Resolved]:
    """Apply base members to each record. The topic names the device: bn is empty or equals it."""
    base: dict[str, Any] = {"bn": "", "bt": 0.0, "bu": None, "bv": 0.0}
    resolved = []
    for position, record in enumerate(pack):
        if not isinstance(record, dict):
            raise SenmlError(f"record {position} is no object")
        for member in ("bt", "bv", "t", "v"):
            _require_number(record, member, position)
        if record.get("bver", _VERSION) != _VERSION:
            raise SenmlError(f"record {position}: bver {brief(record['bver'])} is not {_VERSION}")
        base.update({key: record[key] for key in base if key in record})
        if base["bn"] not in ("", base_name):
            raise SenmlError(f"record {position}: bn {brief(base['bn'])} is not {base_name!r}")
        if item := _one(record, base, now, position):
            resolved.append(item)
    if not resolved:
        raise SenmlError("no record holds a value")
    return resolved


def _one(
    record: dict[str, Any], base: dict[str, Any], now: datetime, position: int
) -> Resolved | None:
    name, unit = record.get("n", ""), record.get("u", base["bu"])
    if not isinstance(name, str) or not (unit is None or isinstance(unit, str)):
        raise SenmlError(f"record {position}: n and u are texts")
    values = [record[key] for key in ("v", "vb", "vs", "vd") if key in record]
    if not values:
        return None  # base members only, or a sum without a value
    value = values[0] + base["bv"] if "v" in record else values[0]
    seconds = base["bt"] + record.get("t", 0)
    absolute = seconds >= _RELATIVE_BELOW
    try:
        time = datetime.fromtimestamp(seconds, UTC) if absolute else now + timedelta(0, seconds)
    except (ValueError, OverflowError, OSError):
        raise SenmlError(f"record {position}: time {seconds} is out of range") from None
    return Resolved(name or "value", time, value, unit, absolute)


def _require_number(record: dict[str, Any], member: str, position: int) -> None:
    value = record.get(member, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SenmlError(f"record {position}: {member} is no number")
