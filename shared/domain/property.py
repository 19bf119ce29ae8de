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
        Property("net_inflow", "L/s", "Net inflow", hard=(-1e6, 1e6)),
        Property("night_flow", "L/s", "Night flow", hard=(-1e6, 1e6)),
        Property("water_volume_index", "m3", "Meter index", hard=(0, 1e9), decimals=3),
        Property("water_consumption", "m3", "Water consumption", hard=(0, 1e6), decimals=3),
        Property("water_consumption_daily", "m3", "Daily water consumption", hard=(0, 1e7)),
        Property("parking_occupied", "1", "Occupied parking spaces", hard=(0, 1e5), decimals=0),
        Property("bay_occupied", "1", "Bay occupied", hard=(0, 1), decimals=0),
        Property("parking_occupancy", "%", "Parking occupancy", hard=(0, 1000), soft=(0, 100)),
        Property("parking_arrivals", "1/h", "Arrivals", hard=(0, 1e5), decimals=0),
        Property("parking_turnover", "1/d", "Stays per space and day", hard=(0, 1440)),
        Property("parking_stay_mean", "min", "Mean stay", hard=(0, 1e6), decimals=1),
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
        Property("soil_moisture", "%", "Soil moisture", hard=(0, 100), decimals=1),
        Property("soil_temperature", "Cel", "Soil temperature", hard=(-40, 80), soft=(-5, 60)),
        Property(
            "soil_conductivity", "uS/cm", "Soil conductivity", hard=(0, 100000), soft=(0, 20000)
        ),
        Property("illuminance", "lx", "Illuminance", hard=(0, 200000), soft=(0, 150000)),
        Property("carbon_dioxide", "ppm", "Carbon dioxide", hard=(0, 100000), soft=(300, 10000)),
        Property("sulfur_dioxide", "ug/m3", "Sulfur dioxide", hard=(0, 20000), soft=(0, 2000)),
        Property("carbon_monoxide", "ug/m3", "Carbon monoxide", hard=(0, 500000), soft=(0, 60000)),
        Property("ozone", "ug/m3", "Ozone", hard=(0, 5000), soft=(0, 1200)),
        Property("nitrogen_dioxide", "ug/m3", "Nitrogen dioxide", hard=(0, 10000), soft=(0, 3000)),
        Property("hydrocarbons", "ug/m3", "Hydrocarbons", hard=(0, 50000), soft=(0, 2000)),
        Property("ispu", "1", "Air quality index (ISPU)", hard=(0, 500), decimals=0),
        Property("ispu_daily", "1", "Air quality index of the day", hard=(0, 500), decimals=0),
        Property("ispu_pollutant", "1", "Index of one pollutant", hard=(0, 500), decimals=0),
        Property(
            "ispu_pollutant_daily", "1", "Index of one pollutant, daily", hard=(0, 500), decimals=0
        ),
        Property("salinity", "PSU", "Salinity", hard=(0, 75), soft=(0, 45)),
        Property("ammonia", "mg/L", "Ammonia (as N)", hard=(0, 1000), soft=(0, 50)),
        Property("nitrate", "mg/L", "Nitrate (as N)", hard=(0, 1000), soft=(0, 100)),
        Property("nitrite", "mg/L", "Nitrite (as N)", hard=(0, 100), soft=(0, 10), decimals=3),
        Property("phosphorus", "mg/L", "Total phosphorus", hard=(0, 1000), soft=(0, 50)),
        Property("suspended_solids", "mg/L", "Suspended solids", hard=(0, 100000), soft=(0, 10000)),
        Property("dissolved_solids", "mg/L", "Dissolved solids", hard=(0, 300000), soft=(0, 60000)),
        Property(
            "biochemical_oxygen_demand",
            "mg/L",
            "Biochemical oxygen demand",
            hard=(0, 10000),
            soft=(0, 500),
        ),
        Property(
            "chemical_oxygen_demand",
            "mg/L",
            "Chemical oxygen demand",
            hard=(0, 50000),
            soft=(0, 2000),
        ),
        Property("oil_and_grease", "mg/L", "Oil and grease", hard=(0, 10000), soft=(0, 100)),
        Property("detergents", "mg/L", "Detergents (MBAS)", hard=(0, 1000), soft=(0, 50)),
        Property("phenols", "mg/L", "Phenols", hard=(0, 1000), soft=(0, 10), decimals=4),
        Property("faecal_coliform", "MPN/100mL", "Faecal coliform", hard=(0, 1e12), decimals=0),
        Property("total_coliform", "MPN/100mL", "Total coliform", hard=(0, 1e12), decimals=0),
        Property("water_limit_ratio", "1", "Share of the limit used", hard=(0, 1e9)),
        Property("water_pollution_index", "1", "Water pollution index", hard=(0, 100)),
        Property("fill_level", "%", "Fill level", hard=(0, 100), decimals=0),
        Property("sound_level", "dB", "Sound level", hard=(0, 200), soft=(20, 140), decimals=1),
        Property("power", "W", "Power", hard=(-1e9, 1e9), decimals=1),
        Property("energy", "kWh", "Energy", hard=(0, 1e9)),
        Property("battery_level", "%", "Battery level", hard=(0, 100), decimals=0),
        Property("link_margin", "dB", "Link margin", hard=(-64, 63), soft=(-32, 40), decimals=0),
        Property("battery_voltage", "V", "Battery", hard=(0, 60)),
    )
}
# Told by a network server at its own pace, whether the device's sensor speaks or not.
HEALTH: Final = ("battery_level", "link_margin")
