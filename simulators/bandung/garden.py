"""Botanical garden pilot: two climate stations on a mountain side, one hot and dry afternoon."""

from datetime import datetime, timedelta
from typing import Any, Final

from simulators.bandung.place import FAULTS, GARDEN, SITE, eui
from simulators.clock import floored
from simulators.device import Device, Recurring, Rhythm, recurring
from simulators.probe import Channel, Event, Probe
from simulators.radio_site import Fleet, SimulatedPilot, truth

_WARMEST_UTC: Final = 6.5  # 13:30 local
_FIELDS: Final = {
    "object.temp_c": ("air_temperature", "Cel"),
    "object.rh_pct": ("relative_humidity", "%"),
    "object.pressure_hpa": ("air_pressure", "hPa"),
    "object.lux": ("illuminance", "lx"),
}
_RULES: Final[list[dict[str, Any]]] = [
    {
        "property": "air_temperature",
        "above": 29,
        "hysteresis": 0.5,
        "for_min": 30,
        "severity": "warning",
        "label": "Heat: shade the beds (limit invented)",
    },
    {
        "property": "relative_humidity",
        "below": 45,
        "hysteresis": 2,
        "for_min": 30,
        "severity": "info",
        "label": "Dry air: mist the ferns (limit invented)",
    },
]


def pilot(anchor: datetime) -> SimulatedPilot:
    """The garden pilot as it is when its simulation begins."""
    noon = floored(anchor, timedelta(days=1)) + timedelta(hours=4)  # 11:00 local
    hot = recurring(noon - timedelta(days=9), timedelta(hours=6))
    return SimulatedPilot(
        key="cibodas-garden",
        service="SEC-02",
        kind="threshold",
        params={"rules": _RULES},
        fleets=(
            Fleet(
                "climate-station",
                900,
                _FIELDS,
                (
                    _station("climate-upper", 0x101, 18.6, hot),
                    _station("climate-lower", 0x102, 20.4, None),
                ),
                GARDEN,
                spread=0.004,
                faults=FAULTS,
            ),
        ),
        planted=lambda now, _seed: [
            fact
            for what in ("hot afternoon", "dry air")
            for fact in truth(
                *(SITE, "climate-upper", what, hot, anchor, now),
                finding="threshold",
                after=timedelta(hours=4),
            )
        ],
    )


def _station(key: str, number: int, mean_c: float, hot: Recurring | None) -> Device:
    heat = (Event(hot, 9.5, timedelta(hours=1)),) if hot else ()
    drought = (Event(hot, -34.0, timedelta(hours=1)),) if hot else ()
    channels = (
        Channel("temp_c", mean_c, 4.0, _WARMEST_UTC, noise=0.3, decimals=1, events=heat),
        Channel("rh_pct", 78, -14, _WARMEST_UTC, noise=1.5, decimals=1, events=drought),
        Channel("pressure_hpa", 865, 1.4, 2.5, noise=0.1, decimals=1),
        Channel("lux", 9000, 26000, 5, noise=900, decimals=0, least=0),
    )
    return Device(key, eui(number), Rhythm(900, phase_s=65, jitter_s=20), Probe(7, channels))
