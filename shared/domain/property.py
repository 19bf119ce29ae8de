"""Observed properties: one line = one property, its canonical unit and what values it can have."""

from dataclasses import dataclass
from typing import Final

from shared.domain.quality import Span


@dataclass(frozen=True, slots=True)
class Property:
    """One observed property. Ranges are inclusive, in `unit`: outside hard fails, outside soft
    is suspect, no range is not evaluated."""

    key: str
    unit: str
    label: str
    hard: Span | None = None
    soft: Span | None = None
    decimals: int = 2


PROPERTIES: Final = {
    item.key: item
    for item in (
        Property("water_level", "m", "Water level", hard=(-50, 100), decimals=3),
        Property("rainfall", "mm", "Rainfall", hard=(0, 500), soft=(0, 100), decimals=1),
        Property("flow", "L/s", "Flow", hard=(-1e6, 1e6)),
        Property("water_volume_index", "m3", "Meter index", hard=(0, 1e9), decimals=3),
        Property("water_consumption", "m3", "Water consumption", hard=(0, 1e6), decimals=3),
        Property("water_consumption_daily", "m3", "Daily water consumption", hard=(0, 1e7)),
        Property("parking_occupied", "1", "Occupied parking spaces", hard=(0, 1e5), decimals=0),
        Property("air_temperature", "Cel", "Air temperature", hard=(-60, 70), soft=(-10, 50)),
        Property("water_temperature", "Cel", "Water temperature", hard=(-5, 60), soft=(0, 45)),
        Property("relative_humidity", "%", "Relative humidity", hard=(0, 100), decimals=1),
        Property("air_pressure", "hPa", "Air pressure", hard=(500, 1100), soft=(650, 1080)),
        Property("pm2_5", "ug/m3", "PM2.5", hard=(0, 5000), soft=(0, 1000), decimals=1),
        Property("pm10", "ug/m3", "PM10", hard=(0, 10000), soft=(0, 2000), decimals=1),
        Property("acidity", "[pH]", "pH", hard=(0, 14), soft=(3, 11)),
        Property("dissolved_oxygen", "mg/L", "Dissolved oxygen", hard=(0, 40), soft=(0, 20)),
        Property("turbidity", "NTU", "Turbidity", hard=(0, 10000)),
        Property("conductivity", "uS/cm", "Conductivity", hard=(0, 200000)),
        Property("battery_voltage", "V", "Battery", hard=(0, 60)),
    )
}
