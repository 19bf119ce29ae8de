"""Reading a pilot's params: every fault is one line that names the place."""

from collections.abc import Collection, Mapping
from datetime import date, datetime
from math import inf
from typing import Any, Final
from zoneinfo import ZoneInfo

from services.analytics import local_time
from services.analytics.pilot import PilotParamsError

MOST: Final = 1e12  # beyond any quantity of a pilot, and far from every overflow


def mapping(place: str, value: object, known: Collection[str]) -> Mapping[str, Any]:
    """`value` as a mapping with no other keys than `known`; raises PilotParamsError."""
    if not isinstance(value, Mapping):
        raise PilotParamsError(f"{place}: must be a mapping with {', '.join(sorted(known))}")
    unknown = sorted(str(key) for key in value if key not in known)
    if unknown:
        raise PilotParamsError(
            f"{place}: unknown {', '.join(unknown)}; known: {', '.join(sorted(known))}"
        )
    return value


def number(place: str, value: object, *, least: float | None = None) -> float:
    """`value` as a number up to MOST, at least `least` where given; raises PilotParamsError."""
    if not is_number(value) or (least is not None and float(str(value)) < least):
        floor = "" if least is None else f" of at least {least:g}"
        raise PilotParamsError(f"{place}: must be a number{floor}, not {repr(value)[:100]}")
    return float(str(value))


def is_number(value: object) -> bool:
    """Whether `value` is a number no further from 0 than MOST: neither true nor .inf is."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MOST


def word(place: str, value: object, known: Collection[str]) -> str:
    """`value` as one of `known`; raises PilotParamsError."""
    if not isinstance(value, str) or value not in known:
        raise PilotParamsError(f"{place}: {value!r} is not known; known: {', '.join(known)}")
    return value


def words(place: str, value: object) -> list[str]:
    """`value` as a list of texts; raises PilotParamsError."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise PilotParamsError(f"{place}: must be a list of texts")
    return value


def since(place: str, valid_from: object, zone: str) -> float:
    """When something is in force from, seconds since 1970: a date is local midnight, a year its
    first day, null always; raises PilotParamsError."""
    if valid_from is None:
        return -inf
    text = f"{valid_from}-01-01" if len(str(valid_from)) == 4 else str(valid_from)
    try:
        if len(text) == len("2014-01-01"):
            return local_time.midnight(date.fromisoformat(text), zone).timestamp()
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise PilotParamsError(
            f"{place}: valid_from {valid_from!r} is no date such as 2014-01-01"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))).timestamp()
