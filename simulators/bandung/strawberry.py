"""Strawberry farm pilot: soil nodes in six beds; irrigation fails in one, one node goes dead."""

from datetime import datetime, timedelta
from typing import Any, Final

from simulators.bandung.place import FAULTS, GARDEN, SITE, eui
from simulators.device import Device, Recurring, Rhythm, recurring
from simulators.noise import between
from simulators.probe import Channel
from simulators.radio_site import WIB, Fleet, SimulatedPilot, truth
from simulators.scenario import Planted
from simulators.soil import SoilNode

_FIELDS: Final = {
    "object.moisture": ("soil_moisture", "%"),
    "object.soil_temp": ("soil_temperature", "Cel"),
    "object.ec_us_cm": ("soil_conductivity", "uS/cm"),
}
_RULES: Final[list[dict[str, Any]]] = [
    {
        "property": "soil_moisture",
        "below": 18,
        "hysteresis": 1,
        "for_min": 60,
        "severity": "warning",
        "label": "Bed too dry: check irrigation (limit invented)",
    }
]


def pilot(anchor: datetime) -> SimulatedPilot:
    """The farm pilot as it is when its simulation begins."""
    dry = recurring(anchor - timedelta(days=12), timedelta(days=3))
    dies = anchor - timedelta(days=2)
    return SimulatedPilot(
        key="cibodas-strawberry",
        service="WAT-02",
        kind="threshold",
        params={"rules": _RULES},
        fleets=(
            Fleet(
                "soil-node",
                1800,
                _FIELDS,
                tuple(
                    _bed(number, dry if number == 4 else None, dies if number == 6 else None)
                    for number in range(1, 7)
                ),
                GARDEN,
                spread=0.003,
                faults=FAULTS,
            ),
        ),
        planted=lambda now, _seed: [
            *truth(
                *(SITE, "bed-4", "irrigation fails", dry, anchor, now),
                finding="threshold",
                after=timedelta(days=2, hours=16),
            ),
            Planted(
                *(SITE, "bed-6", "dead", dies, now),
                finding="silent",
                due=dies + timedelta(hours=6),
            ),
        ],
    )


def _bed(number: int, dry: Recurring | None, dies: datetime | None) -> Device:
    key = f"bed-{number}"
    node = SoilNode(
        wet=between(31, 33, key, "wet"),
        drying=between(5.6, 6.4, key, "drying"),
        offset=WIB,
        warm=Channel("soil_temp", 19.5, 1.6, 8.5, noise=0.1, decimals=1),
        dry=dry,
    )
    rhythm = Rhythm(1800, phase_s=between(10, 1700, key, "phase"), jitter_s=30)
    return Device(key, eui(0x200 + number), rhythm, node, dies=dies)
