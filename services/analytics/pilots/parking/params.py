"""The site file's params of a parking pilot: capacities, limits, zones, what counts as noise."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from typing import Any, Final

from services.analytics.params import is_number
from services.analytics.pilot import Pilot, PilotParamsError

WHOLE: Final = "all"  # the channel of what stands for the whole pilot
KEYS: Final = (
    "capacity",
    "limit_min",
    "grace_min",
    "zones",
    "full",
    "hold_min",
    "merge_s",
    "min_stay_s",
)
FULL_KEYS: Final = ("at_pct", "for_min")
NOISE_S: Final = 60.0
FULL_PCT: Final = 90.0
FULL_MIN: Final = 15.0
MOST: Final = 1e6  # spaces, or minutes: nearly two years


@dataclass(frozen=True, slots=True)
class Full:
    """When an area is full: at or above `at_pct` % for `length` s."""

    at_pct: float
    length: float


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything in seconds. limits: by device key, `limit` for all others, inf for none.

    hold: how long a state is believed, null: as its device's interval suggests.
    """

    capacity: Mapping[str, float]
    limits: Mapping[str, float]
    limit: float
    grace: float
    zones: Mapping[str, tuple[str, ...]]
    full: Full | None
    hold: float | None
    merge: float
    shortest: float

    @property
    def reach(self) -> timedelta:
        """How far back a reading may change whether a bay was taken."""
        return timedelta(seconds=self.merge + self.shortest)

    def limit_of(self, device: str) -> float:
        """The longest stay allowed there, s."""
        return self.limits.get(device, self.limit)


def settings(pilot: Pilot, devices: Collection[str]) -> Settings:
    """The params of a pilot with these devices; raises PilotParamsError naming the place."""
    params = pilot.params
    _refuse_unknown(pilot.key, params, KEYS)
    limit = params.get("limit_min")
    limits = limit if isinstance(limit, dict) else {}
    if limit is not None and not isinstance(limit, dict):
        limit = _number(pilot.key, "limit_min", limit, above=0)
    return Settings(
        capacity=_by_device(pilot.key, "capacity", params.get("capacity", {}), devices),
        limits={
            device: 60 * minutes
            for device, minutes in _by_device(pilot.key, "limit_min", limits, devices).items()
        },
        limit=60 * limit if isinstance(limit, float) else inf,
        grace=60 * _number(pilot.key, "grace_min", params.get("grace_min", 0.0)),
        zones=_zones(pilot.key, params.get("zones", {}), devices),
        full=_full(pilot.key, params.get("full")),
        hold=_hold(pilot.key, params.get("hold_min")),
        merge=_number(pilot.key, "merge_s", params.get("merge_s", NOISE_S)),
        shortest=_number(pilot.key, "min_stay_s", params.get("min_stay_s", NOISE_S)),
    )


def _by_device(pilot: str, name: str, said: Any, devices: Collection[str]) -> dict[str, float]:
    if not isinstance(said, dict):
        raise PilotParamsError(f"{pilot}: {name} must give a number by device key")
    _refuse_strangers(pilot, name, said, devices)
    return {
        device: _number(pilot, f"{name} of {device}", number, above=0)
        for device, number in said.items()
    }


def _zones(pilot: str, said: Any, devices: Collection[str]) -> dict[str, tuple[str, ...]]:
    if not isinstance(said, dict):
        raise PilotParamsError(f"{pilot}: zones must give a list of device keys by zone")
    zones: dict[str, tuple[str, ...]] = {}
    for zone, members in said.items():
        place = f"zone {zone}"
        if zone in ("", WHOLE):
            raise PilotParamsError(f"{pilot}: {place}: {WHOLE!r} is the whole pilot; rename it")
        if not _are_keys(members) or len(set(members)) < len(members):
            raise PilotParamsError(f"{pilot}: {place} must list device keys, each once")
        _refuse_strangers(pilot, place, members, devices)
        zones[str(zone)] = tuple(members)
    return zones


def _are_keys(said: Any) -> bool:
    return isinstance(said, list) and bool(said) and all(isinstance(each, str) for each in said)


def _full(pilot: str, said: Any) -> Full | None:
    if said is None:
        return None
    if not isinstance(said, dict):
        raise PilotParamsError(f"{pilot}: full must give at_pct and for_min")
    _refuse_unknown(f"{pilot}: full", said, FULL_KEYS)
    return Full(
        _number(pilot, "full at_pct", said.get("at_pct", FULL_PCT), above=0),
        60 * _number(pilot, "full for_min", said.get("for_min", FULL_MIN)),
    )


def _hold(pilot: str, said: Any) -> float | None:
    return None if said is None else 60 * _number(pilot, "hold_min", said, above=0)


def _number(pilot: str, name: str, said: Any, above: float | None = None) -> float:
    good = is_number(said) and 0 <= said <= MOST
    if not good or (above is not None and said <= above):
        least = "0 or more" if above is None else f"above {above:g}"
        raise PilotParamsError(f"{pilot}: {name} must be a number, {least}, at most {MOST:g}")
    return float(said)


def _refuse_unknown(place: str, said: Mapping[str, Any], known: Collection[str]) -> None:
    for key in said:
        if key not in known:
            raise PilotParamsError(f"{place}: unknown param {key}; there are {', '.join(known)}")


def _refuse_strangers(
    pilot: str, place: str, keys: Collection[Any], devices: Collection[str]
) -> None:
    for key in keys:
        if key not in devices:
            raise PilotParamsError(f"{pilot}: {place}: {key} is no device of this pilot")
