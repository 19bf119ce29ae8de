"""Parking pilot: a dozen bays with a limit of two hours, and a bay on the bench.

Planted: cars that stay too long, one of them now; a market day that fills every bay; a dead bay.
"""

from datetime import datetime, timedelta
from typing import Final

from simulators.bay import Bay
from simulators.cibinong.place import LAT, LON, SITE, eui
from simulators.clock import floored
from simulators.device import Device, Recurring, recurring
from simulators.gateway import Faults
from simulators.radio_site import BENCH_PAST, WIB, Fleet, SimulatedPilot, truth
from simulators.scenario import Planted

_FIELDS: Final = {
    "object.occupied": ("bay_occupied", "1"),
    "object.battery_v": ("battery_voltage", "V"),
}
_BAYS: Final = tuple(f"bay-{number:02}" for number in range(1, 13))
_LIMIT: Final = timedelta(hours=2)
_KEEP_ALIVE: Final = timedelta(hours=4)
# Confirmed uplinks, as such sensors send them: a lost one would leave a car standing for hours.
_FAULTS: Final = Faults(twice=0.004, late=0.02)
# Comes back by the quarter of an hour, so that whoever watches a demo sees an overstay soon.
_BENCH_STAY: Final = Recurring(timedelta(minutes=1), timedelta(minutes=6), timedelta(minutes=15))
_BENCH_LIMIT: Final = timedelta(minutes=2)


def pilot(anchor: datetime) -> SimulatedPilot:
    """The parking pilot as it is when its simulation begins."""
    morning = floored(anchor, timedelta(days=1)) + timedelta(hours=2)  # 9:00 local
    overstays = {
        "bay-03": recurring(morning - timedelta(days=13), timedelta(hours=5)),
        "bay-07": recurring(morning - timedelta(days=3), timedelta(hours=7)),
        "bay-05": recurring(anchor - timedelta(hours=4), timedelta(hours=10)),
    }
    market = recurring(morning - timedelta(days=6) + timedelta(hours=4), timedelta(minutes=100))
    dies = morning - timedelta(hours=30)  # at night: a car then in it would stand there for hours
    bays = tuple(
        _bay(key, number, [market, *([overstays[key]] if key in overstays else [])], dies)
        for number, key in enumerate(_BAYS, start=1)
    )
    return SimulatedPilot(
        key="cibinong-parking",
        service="MOB-02",
        kind="parking",
        params={
            "limit_min": _LIMIT.total_seconds() / 60,
            "grace_min": 5,
            "full": {"at_pct": 95, "for_min": 30},
        },
        fleets=(
            Fleet(
                "bay-sensor",
                int(_KEEP_ALIVE.total_seconds()),
                _FIELDS,
                bays,
                (LAT, LON),
                spread=0.0004,
                faults=_FAULTS,
            ),
        ),
        planted=lambda now, _seed: [
            *(
                row
                for key, when in overstays.items()
                for row in truth(
                    *(SITE, key, "overstay", when, anchor, now),
                    finding="overstay",
                    after=_LIMIT + timedelta(minutes=30),
                )
            ),
            *truth(
                *(SITE, _BAYS[0], "market day", market, anchor, now),
                finding="full",
                after=timedelta(hours=1),
            ),
            Planted(
                *(SITE, "bay-12", "dead", dies, now),
                finding="silent",
                due=dies + 4 * _KEEP_ALIVE,
            ),
        ],
    )


def bench(anchor: datetime) -> SimulatedPilot:
    """A bay on the bench, taken for six minutes of each quarter of an hour."""
    sensor = Bay(WIB, None, planted=(_BENCH_STAY,), keep_alive=timedelta(minutes=1))
    return SimulatedPilot(
        key="cibinong-parking-bench",
        service="MOB-02",
        kind="parking",
        params={"limit_min": _BENCH_LIMIT.total_seconds() / 60},
        fleets=(
            Fleet(
                "bay-bench",
                60,
                _FIELDS,
                (Device("bay-bench", eui(0x5FF), sensor, sensor),),
                (LAT, LON),
                past=BENCH_PAST,
            ),
        ),
        planted=lambda now, _seed: truth(
            *(SITE, "bay-bench", "overstay", _BENCH_STAY, anchor, now),
            finding="overstay",
            after=_BENCH_STAY.length,
            past=BENCH_PAST,
        ),
    )


def _bay(key: str, number: int, planted: list[Recurring], dies: datetime) -> Device:
    sensor = Bay(WIB, gap_min=(20.0, 180.0), planted=tuple(planted), keep_alive=_KEEP_ALIVE)
    return Device(key, eui(0x500 + number), sensor, sensor, dies=dies if key == _BAYS[-1] else None)
