"""Leakage pilot: two supply areas in a row, each with a leak; one was mended, one still runs."""

from datetime import datetime, timedelta
from typing import Final

from simulators.cibinong.place import FAULTS, LAT, LON, SITE, eui
from simulators.device import CYCLE, Device, Rhythm, recurring
from simulators.flow import FlowMeter, Leak
from simulators.radio_site import WIB, Fleet, SimulatedPilot, truth

# Rarer than the past is long: each leak has quiet weeks before it.
_EVERY: Final = 4 * CYCLE


def pilot(anchor: datetime) -> SimulatedPilot:
    """The leakage pilot as it is when its simulation begins."""
    burst = recurring(anchor - timedelta(days=17), timedelta(days=8), _EVERY)
    seeping = recurring(anchor - timedelta(days=6), timedelta(days=10), _EVERY)
    south = FlowMeter(6.0, WIB, leaks=(Leak(seeping, 0.7, ramp=timedelta(days=1)),))
    north = FlowMeter(8.0, WIB, leaks=(Leak(burst, 0.9),), beyond=("transfer", south))
    meters = {"inlet": (0x401, north), "transfer": (0x402, south)}
    rows = (("inlet", "burst", burst, 0.9), ("transfer", "seepage", seeping, 0.7))
    return SimulatedPilot(
        key="cibinong-leakage",
        service="WAT-01",
        kind="leakage",
        params={
            "areas": {
                "north": {"inflows": ["inlet"], "outflows": ["transfer"]},
                "south": {"inflows": ["transfer"]},
            }
        },
        fleets=(
            Fleet(
                "flow-meter",
                900,
                {"object.flow_lps": ("flow", "L/s")},
                tuple(
                    Device(key, eui(number), Rhythm(900, phase_s=20, jitter_s=15), meter)
                    for key, (number, meter) in meters.items()
                ),
                (LAT, LON),
                faults=FAULTS,
            ),
        ),
        planted=lambda now, _seed: [
            fact
            for device, what, when, lps in rows
            for fact in truth(
                *(SITE, device, what, when, anchor, now),
                finding="leakage",
                after=timedelta(days=4),
                value=lps,
            )
        ],
    )
