"""Reading a pilot's params: every fault is one line that names the place."""

from collections.abc import Collection, Mapping
from math import isfinite
from typing import Any

from services.analytics.pilot import PilotParamsError


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
    """`value` as a finite number, at least `least` where given; raises PilotParamsError."""
    fits = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    if not fits or (least is not None and float(str(value)) < least):
        floor = "" if least is None else f" of at least {least:g}"
        raise PilotParamsError(f"{place}: must be a number{floor}, not {value!r}")
    return float(str(value))


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
