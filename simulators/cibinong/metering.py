"""Metering pilot: 24 household meters, one exchanged, one leaking, one out for a day, one idle."""

from datetime import datetime, timedelta
from typing import Final

from simulators.cibinong.place import FAULTS, LAT, LON, SITE, eui
from simulators.device import Device, Rhythm, recurring
from simulators.meter import Meter
from simulators.noise import between
from simulators.radio_site import WIB, Fleet, SimulatedPilot, truth

_NEVER_ACTIVE: Final = "meter-24"
LEAK_L_H: Final = 9.0


def pilot(anchor: datetime) -> SimulatedPilot:
    """The metering pilot as it is when its simulation begins."""
    outage = recurring(anchor - timedelta(days=15), timedelta(hours=31))
    exchange = recurring(anchor - timedelta(days=10))
    leak = recurring(anchor - timedelta(days=20), timedelta(days=4))

    def meter(number: int) -> Device:
        name = f"meter-{number:02}"
        return Device(
            name,
            eui(0x300 + number),
            Rhythm(3600, phase_s=between(30, 3000, name, "phase"), jitter_s=300),
            Meter(
                daily_l=between(250, 900, name, "daily"),
                offset=WIB,
                exchange=exchange if number == 11 else None,
                drip=leak if number == 8 else None,
                drip_l_h=LEAK_L_H,
            ),
            silences=(outage,) if number == 5 else (),
        )

    rows = (
        ("meter-05", "outage", outage, "meter_gap", timedelta(hours=34), None),
        ("meter-11", "exchange", exchange, "meter_reset", timedelta(hours=12), None),
        ("meter-08", "leak", leak, "continuous_flow", timedelta(hours=30), LEAK_L_H),
    )
    return SimulatedPilot(
        key="cibinong-metering",
        service="WAT-04",
        kind="metering",
        params={},
        fleets=(
            Fleet(
                "meter",
                3600,
                {"object.volume_l": ("water_volume_index", "L")},
                tuple(meter(number) for number in range(1, 25)),
                (LAT, LON),
                faults=FAULTS,
                never_active=frozenset({_NEVER_ACTIVE}),
            ),
        ),
        planted=lambda now, _seed: [
            fact
            for device, what, when, finding, after, value in rows
            for fact in truth(
                *(SITE, device, what, when, anchor, now), finding=finding, after=after, value=value
            )
        ],
    )
