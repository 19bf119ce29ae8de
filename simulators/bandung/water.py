"""Water-quality device pilot: a sonde in a stream by the farm, and a discharge that passes it."""

from datetime import datetime, timedelta
from typing import Final

from simulators.bandung.place import FAULTS, GARDEN, SITE, eui
from simulators.device import Device, Recurring, Rhythm, recurring
from simulators.probe import Channel, Event, Probe
from simulators.radio_site import Fleet, SimulatedPilot, truth

_FIELDS: Final = {
    "object.do_mg_l": ("dissolved_oxygen", "mg/L"),
    "object.temp_c": ("water_temperature", "Cel"),
    "object.ph": ("acidity", "[pH]"),
    "object.ammonia_mg_l": ("ammonia", "mg/L"),
    "object.ec_us_cm": ("conductivity", "uS/cm"),
    "object.turbidity_ntu": ("turbidity", "NTU"),
}
_RAMP: Final = timedelta(hours=1)


def pilot(anchor: datetime) -> SimulatedPilot:
    """The water-quality pilot as it is when its simulation begins."""
    discharge = recurring(anchor - timedelta(days=10, hours=7), timedelta(hours=14))
    return SimulatedPilot(
        key="water-quality",
        service="WAT-02",
        kind="environment",
        params={"water": {"limits": "class-2"}},
        fleets=(
            Fleet(
                "stream-sonde",
                1800,
                _FIELDS,
                (Device("stream-1", eui(0x401), Rhythm(1800, 45, 30), _sonde(discharge)),),
                GARDEN,
                spread=0.006,
                faults=FAULTS,
            ),
        ),
        planted=lambda now, _seed: truth(
            *(SITE, "stream-1", "discharge", discharge, anchor, now),
            finding="water_quality",
            after=timedelta(hours=6),
        ),
    )


def _sonde(discharge: Recurring) -> Probe:
    def comes(change: float) -> tuple[Event, ...]:
        return (Event(discharge, change, _RAMP),)

    return Probe(
        9,
        (
            Channel("do_mg_l", 6.6, 0.4, 8, noise=0.1, least=0, events=comes(-3.6)),
            Channel("temp_c", 21.5, 1.8, 8, noise=0.1),
            Channel("ph", 7.3, 0.1, 8, noise=0.03),
            Channel("ammonia_mg_l", 0.08, 0.02, 2, noise=0.01, least=0, events=comes(0.4)),
            Channel("ec_us_cm", 240, 8, 8, noise=3, decimals=0, events=comes(190)),
            Channel("turbidity_ntu", 9, 2, 12, noise=1.5, decimals=1, least=0, events=comes(60)),
        ),
    )
