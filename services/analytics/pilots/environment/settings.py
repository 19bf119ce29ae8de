"""What the site file says of an environment pilot: how reluctantly findings end, water limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any, Final

from services.analytics import params
from services.analytics.pilot import Pilot, PilotParamsError
from services.analytics.pilots.environment.limits import PARAMETERS, TABLES

POINTS: Final = 5.0  # an index wavers by a few points around the hour
SHARE: Final = 0.05
OF_WATER: Final = ("limits", "parameters", "temperature_c", "salinity_psu", "hysteresis")


@dataclass(frozen=True, slots=True)
class Limit:
    """Lowest and highest value allowed, null where there is none; one of them is given."""

    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.low is None:
            return f"≤ {self.high:g}"
        return f"≥ {self.low:g}" if self.high is None else f"{self.low:g} … {self.high:g}"


@dataclass(frozen=True, slots=True)
class Standard:
    """Limits by property, in force from `since` (s since 1970)."""

    since: float
    source: str
    limits: Mapping[str, Limit]


@dataclass(frozen=True, slots=True)
class Water:
    """standards: oldest first, none: nothing is judged. parameters: of the index, null: all that
    are measured and limited. temperature, salinity: where they are not measured, NaN: unknown."""

    standards: Sequence[Standard]
    parameters: tuple[str, ...] | None
    temperature: float
    salinity: float
    hysteresis: float


@dataclass(frozen=True, slots=True)
class Settings:
    """air_hysteresis: points the index falls below a category before it is left."""

    air_hysteresis: float
    water: Water


def read(pilot: Pilot) -> Settings:
    """The settings of a pilot; raises PilotParamsError naming the place."""
    place = f"{pilot.key}: params"
    given = params.mapping(place, pilot.params, ("air", "water"))
    air = params.mapping(f"{place}: air", given.get("air") or {}, ("hysteresis",))
    water = params.mapping(f"{place}: water", given.get("water") or {}, OF_WATER)
    return Settings(
        params.number(f"{place}: air: hysteresis", air.get("hysteresis", POINTS), least=0),
        _water(f"{place}: water", water, pilot.zone),
    )


def _water(place: str, said: Mapping[str, Any], zone: str) -> Water:
    def number(name: str, usual: float) -> float:
        value = said.get(name)
        return usual if value is None else params.number(f"{place}: {name}", value, least=0)

    parameters = said.get("parameters")
    if parameters is not None:
        parameters = tuple(
            params.word(f"{place}: parameters", each, PARAMETERS)
            for each in params.words(f"{place}: parameters", parameters)
        )
    return Water(
        standards=_standards(f"{place}: limits", said.get("limits"), zone),
        parameters=parameters,
        temperature=number("temperature_c", nan),
        salinity=number("salinity_psu", 0.0),
        hysteresis=number("hysteresis", SHARE),
    )


def _standards(place: str, stated: object, zone: str) -> list[Standard]:
    """One of the shipped tables by name, or the site's own list of dated limits."""
    if stated is None:
        return []
    if isinstance(stated, str):
        stated = [TABLES[params.word(place, stated, TABLES)]]
    if not isinstance(stated, list):
        raise PilotParamsError(f"{place}: must be one of {', '.join(TABLES)} or a list")
    found = [_standard(f"{place} {i}", each, zone) for i, each in enumerate(stated, start=1)]
    return sorted(found, key=lambda each: each.since)


def _standard(place: str, stated: object, zone: str) -> Standard:
    said = params.mapping(place, stated, ("valid_from", "source", *PARAMETERS))
    source = said.get("source")
    if not isinstance(source, str) or not source.strip():
        raise PilotParamsError(f"{place}: source must say who states these limits")
    return Standard(
        params.since(place, said.get("valid_from"), zone),
        source,
        {name: _limit(f"{place}: {name}", said[name]) for name in PARAMETERS if name in said},
    )


def _limit(place: str, stated: object) -> Limit:
    said = params.mapping(place, stated, ("min", "max"))
    low, high = (
        None if said.get(name) is None else params.number(f"{place}: {name}", said[name], least=0)
        for name in ("min", "max")
    )
    if (low is None and high is None) or (low is not None and high is not None and low >= high):
        raise PilotParamsError(f"{place}: needs a min, a max, or both with min below max")
    if (low is None and high == 0) or (high is None and low == 0):
        raise PilotParamsError(f"{place}: a limit of 0 cannot be compared with")
    return Limit(low, high)
