"""Lobster fishery pilot: two tanks and a bench; aeration fails in one, the filter in the other."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from simulators.bandung.place import CITY, FAULTS, SITE, eui
from simulators.device import Device, Recurring, Rhythm, recurring
from simulators.probe import Channel, Event, Probe
from simulators.radio_site import BENCH_PAST, Fleet, SimulatedPilot, truth

_FIELDS: Final = {
    "object.do_mg_l": ("dissolved_oxygen", "mg/L"),
    "object.temp_c": ("water_temperature", "Cel"),
    "object.ph": ("acidity", "[pH]"),
    "object.salinity": ("salinity", "PSU"),
    "object.ammonia_mg_l": ("ammonia", "mg/L"),
}
# Comes back by the quarter of an hour, so that whoever watches a demo sees an alarm soon.
_DIP: Final = Recurring(timedelta(minutes=9), timedelta(minutes=4), timedelta(minutes=15))
_TANKS: Final = ["tank-1", "tank-2"]


def pilot(anchor: datetime) -> SimulatedPilot:
    """The fishery pilot as it is when its simulation begins."""
    still = recurring(anchor - timedelta(days=8, hours=3), timedelta(hours=4))
    foul = recurring(anchor - timedelta(days=19), timedelta(hours=20))
    tanks = (
        Device("tank-1", eui(0x301), Rhythm(900, 30, 20), _sonde(oxygen=[(still, -2.1, 40)])),
        Device("tank-2", eui(0x302), Rhythm(900, 75, 20), _sonde(ammonia=[(foul, 0.35, 180)])),
    )
    bench = Device("bench-tank", eui(0x311), Rhythm(10, 2, 0.2), _sonde(oxygen=[(_DIP, -2.0, 1)]))
    rows = (
        ("tank-1", "aeration stops", still, timedelta(hours=2), -2.1),
        ("tank-2", "filter fails", foul, timedelta(hours=6), 0.35),
    )
    return SimulatedPilot(
        key="lobster-fishery",
        service="WAT-03",
        kind="threshold",
        params={"rules": _rules()},
        fleets=(
            Fleet("tank-sonde", 900, _FIELDS, tanks, CITY, faults=FAULTS),
            # Far more often than a radio's duty cycle allows in the field: it makes a page move.
            Fleet("tank-sonde-bench", 10, _FIELDS, (bench,), CITY, past=BENCH_PAST),
        ),
        planted=lambda now, _seed: [
            *(
                fact
                for device, what, when, after, value in rows
                for fact in truth(
                    *(SITE, device, what, when, anchor, now),
                    finding="threshold",
                    after=after,
                    value=value,
                )
            ),
            *truth(
                *(SITE, "bench-tank", "dip", _DIP, anchor, now),
                finding="threshold",
                after=_DIP.length,
                past=BENCH_PAST,
                value=-2.0,
            ),
        ],
    )


def _rules() -> list[dict[str, Any]]:
    """Limits of Indonesia's marine water standard for biota (PP 22/2021, Annex VIII)."""
    oxygen = {"property": "dissolved_oxygen", "below": 5, "hysteresis": 0.2, "severity": "alarm"}
    return [
        {**oxygen, "devices": _TANKS, "for_min": 20, "label": "Oxygen low: check the aeration"},
        {**oxygen, "devices": ["bench-tank"], "for_min": 0.5, "label": "Oxygen low on the bench"},
        {
            "property": "ammonia",
            "above": 0.3,
            "hysteresis": 0.03,
            "for_min": 60,
            "severity": "warning",
            "label": "Ammonia high: check the filter",
        },
    ]


def _sonde(
    oxygen: Sequence[tuple[Recurring, float, int]] = (),
    ammonia: Sequence[tuple[Recurring, float, int]] = (),
) -> Probe:
    """A sonde in sea water. oxygen, ammonia: when, by how much, within how many minutes."""
    return Probe(
        8,
        (
            Channel("do_mg_l", 6.0, 0.2, 8, noise=0.08, events=_events(oxygen)),
            Channel("temp_c", 28.6, 0.6, 8, noise=0.05),
            Channel("ph", 8.1, 0.04, 8, noise=0.02),
            Channel("salinity", 33.6, 0.1, 8, noise=0.05),
            Channel("ammonia_mg_l", 0.1, 0.02, 3, noise=0.01, least=0, events=_events(ammonia)),
        ),
    )


def _events(planted: Sequence[tuple[Recurring, float, int]]) -> tuple[Event, ...]:
    return tuple(
        Event(when, change, timedelta(minutes=minutes)) for when, change, minutes in planted
    )
