"""The site file's params of a leakage pilot: areas with their meters and tanks, window, repairs."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from services.analytics import local_time, params
from services.analytics.pilot import Pilot, PilotParamsError

WHOLE: Final = "all"  # the area of a pilot that names none
NIGHT: Final = (2, 4)
KEYS: Final = ("areas", "night", "repairs")
AREA_KEYS: Final = ("inflows", "outflows", "tanks", "night")
REPAIR_KEYS: Final = ("area", "at")


@dataclass(frozen=True, slots=True)
class Area:
    """A supply area. inflows, outflows: device keys; tanks: (device key, m2); night: local hours;
    repairs: instants by which a leak in it had been mended."""

    key: str
    inflows: tuple[str, ...]
    outflows: tuple[str, ...]
    tanks: tuple[tuple[str, float], ...]
    night: tuple[int, int]
    repairs: tuple[datetime, ...]


def areas(pilot: Pilot, flows: Collection[str], levels: Collection[str]) -> list[Area]:
    """The areas of a pilot; without any named, one into which every flow meter leads.

    flows, levels: devices that report flow and water level. Raises PilotParamsError.
    """
    stated = params.mapping(pilot.key, pilot.params, KEYS)
    night = _night(pilot.key, stated.get("night", list(NIGHT)))
    named = stated.get("areas")
    if named is None:
        parts: Mapping[str, Any] = {WHOLE: {"inflows": sorted(flows)}} if flows else {}
    elif isinstance(named, dict) and named:
        parts = named
    else:
        raise PilotParamsError(f"{pilot.key}: areas must name areas, each with its inflows")
    repairs = _repairs(pilot, parts)
    return [
        _area(pilot.key, str(key), part, night, repairs[key], flows, levels)
        for key, part in parts.items()
    ]


def _area(
    pilot: str,
    key: str,
    part: Any,
    night: tuple[int, int],
    repairs: list[datetime],
    flows: Collection[str],
    levels: Collection[str],
) -> Area:
    place = f"{pilot}: areas.{key}"
    part = params.mapping(place, part, AREA_KEYS)
    if not part.get("inflows"):
        raise PilotParamsError(f"{place}: must list inflows, devices that report flow")
    tanks = part.get("tanks", {})
    if not isinstance(tanks, dict) or not all(_is_area(size) for size in tanks.values()):
        raise PilotParamsError(f"{place}: tanks must give each device its surface in m2")
    inflows, outflows = (_devices(place, part, name) for name in ("inflows", "outflows"))
    if repeated := set(inflows) & set(outflows):
        raise PilotParamsError(f"{place}: {min(repeated)} is inflow and outflow at once")
    _require(place, (*inflows, *outflows), flows, "flow")
    _require(place, tanks, levels, "water_level")
    return Area(
        key,
        inflows,
        outflows,
        tuple((device, float(size)) for device, size in tanks.items()),
        _night(place, part["night"]) if "night" in part else night,
        tuple(sorted(repairs)),
    )


def _devices(place: str, part: Mapping[str, Any], name: str) -> tuple[str, ...]:
    listed = params.words(f"{place}.{name}", part.get(name, []))
    if len(set(listed)) < len(listed):
        raise PilotParamsError(f"{place}: {name} names a device twice")
    return tuple(listed)


def _require(place: str, devices: Collection[str], known: Collection[str], name: str) -> None:
    for device in devices:
        if device not in known:
            raise PilotParamsError(
                f"{place}: no device {device!r} of this pilot reports {name}"
                f" ({', '.join(sorted(known)) or 'none does'})"
            )


def _night(place: str, stated: Any) -> tuple[int, int]:
    whole = isinstance(stated, list) and all(type(hour) is int for hour in stated)
    if not whole or len(stated) != 2 or not 0 <= stated[0] < stated[1] <= 24:
        raise PilotParamsError(f"{place}: night must be two rising local hours such as [2, 4]")
    return stated[0], stated[1]


def _repairs(pilot: Pilot, parts: Collection[str]) -> dict[str, list[datetime]]:
    """Repairs of each area; one that names none counts for all."""
    stated = pilot.params.get("repairs", [])
    if not isinstance(stated, list):
        raise PilotParamsError(f"{pilot.key}: repairs must be a list of times, or of area and at")
    found: dict[str, list[datetime]] = {key: [] for key in parts}
    for each in stated:
        place = f"{pilot.key}: repairs: {each!r}"
        part = params.mapping(place, each if isinstance(each, dict) else {"at": each}, REPAIR_KEYS)
        area = part.get("area")
        if area is not None and (not isinstance(area, str) or area not in found):
            raise PilotParamsError(f"{place}: unknown area ({', '.join(found)})")
        for key in found if area is None else (area,):
            found[key].append(_moment(place, part.get("at"), pilot.zone))
    return found


def _moment(place: str, stated: Any, zone: str) -> datetime:
    """A date is the end of that day, a time without an offset local."""
    text = str(stated)
    try:
        if len(text) == len("2026-01-31"):
            return local_time.midnight(date.fromisoformat(text) + timedelta(days=1), zone)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise PilotParamsError(f"{place}: at is no time such as 2026-01-31T14:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))


def _is_area(value: Any) -> bool:
    return params.is_number(value) and value > 0
