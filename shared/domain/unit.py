"""Units and their conversion: one line = one unit. Symbols follow UCUM where it has one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


class UnitError(ValueError):
    """A unit is unknown, or two units measure different things."""


@dataclass(frozen=True, slots=True)
class Unit:
    """canonical = value * factor / divisor + offset, in the base unit of its dimension.

    A divisor keeps decimal steps exact: 35 cm is 35 / 100, not 35 * 0.01.
    """

    symbol: str
    dimension: str
    factor: float = 1.0
    divisor: float = 1.0
    offset: float = 0.0


UNITS: Final = {
    unit.symbol: unit
    for unit in (
        Unit("m", "length"),
        Unit("cm", "length", divisor=100),
        Unit("mm", "length", divisor=1000),
        Unit("m3", "volume"),
        Unit("L", "volume", divisor=1000),
        Unit("L/s", "flow"),
        Unit("m3/s", "flow", factor=1000),
        Unit("m3/h", "flow", divisor=3.6),
        Unit("L/min", "flow", divisor=60),
        Unit("Cel", "temperature"),
        Unit("K", "temperature", offset=-273.15),
        Unit("degF", "temperature", divisor=1.8, offset=-32 / 1.8),
        Unit("%", "ratio"),
        Unit("1", "count"),
        Unit("1/h", "count rate"),
        Unit("1/d", "count rate", divisor=24),
        Unit("min", "duration"),
        Unit("s", "duration", divisor=60),
        Unit("h", "duration", factor=60),
        Unit("hPa", "pressure"),
        Unit("Pa", "pressure", divisor=100),
        Unit("kPa", "pressure", factor=10),
        Unit("bar", "pressure", factor=1000),
        Unit("V", "voltage"),
        Unit("mV", "voltage", divisor=1000),
        Unit("ug/m3", "mass concentration in air"),
        Unit("mg/m3", "mass concentration in air", factor=1000),
        Unit("ppm", "mole fraction"),
        Unit("mg/L", "mass concentration in water"),
        Unit("ug/L", "mass concentration in water", divisor=1000),
        Unit("MPN/100mL", "bacterial count in water"),
        Unit("PSU", "salinity"),
        Unit("ppt", "salinity"),  # what many sensors call the practical salinity
        Unit("[pH]", "acidity"),
        Unit("NTU", "turbidity"),
        Unit("uS/cm", "conductivity"),
        Unit("mS/cm", "conductivity", factor=1000),
        Unit("mm/h", "rain rate"),
        Unit("m/s", "speed"),
        Unit("km/h", "speed", divisor=3.6),
        Unit("deg", "angle"),
        Unit("lx", "illuminance"),
        Unit("W/m2", "irradiance"),
        Unit("kWh", "energy"),
        Unit("Wh", "energy", divisor=1000),
        Unit("W", "power"),
        Unit("kW", "power", factor=1000),
        Unit("dB", "level"),
    )
}
SENML: Final = {"l": "L", "l/s": "L/s", "count": "1", "%RH": "%", "%EL": "%", "pH": "[pH]"}


def lookup(symbol: str) -> Unit:
    """The unit of a symbol, SenML spellings included (RFC 8428 section 12.1); raises UnitError."""
    unit = UNITS.get(SENML.get(symbol, symbol))
    if unit is None:
        raise UnitError(f"unknown unit {symbol!r}; known: {', '.join(UNITS)}")
    return unit


def converter(source: str, target: str) -> Callable[[float], float]:
    """A function from `source` to `target` values, resolved once; raises UnitError."""
    a, b = lookup(source), lookup(target)
    if a.dimension != b.dimension:
        raise UnitError(f"{source} is a {a.dimension}, {target} a {b.dimension}")
    if a == b:
        return float
    if b.factor == b.divisor == 1.0 and b.offset == 0.0:
        factor, divisor, offset = a.factor, a.divisor, a.offset
        return lambda value: value * factor / divisor + offset
    return lambda value: (value * a.factor / a.divisor + a.offset - b.offset) * b.divisor / b.factor
