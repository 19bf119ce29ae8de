"""Flood pilot: three river gauges with rises over their limits, and two on the bench."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from simulators.cibinong.place import LAT, LON, SITE, eui
from simulators.clock import EPOCH, WEEK
from simulators.device import Device, Recurring, Rhythm, recurring
from simulators.gauge import TIME_TO_PEAK, Gauge, rise
from simulators.probe import Event
from simulators.radio_site import BENCH_PAST, INVENTED, PAST, Fleet, SimulatedPilot, truth
from simulators.scenario import Planted

_FIELDS: Final = {"object.level_cm": ("water_level", "cm")}
_SEVERITY: Final = {"siaga3": "warning", "siaga2": "alarm", "siaga1": "critical"}
LIMITS_M: Final = {
    "gauge-1": {"siaga3": 1.2, "siaga2": 1.6, "siaga1": 2.0},
    "gauge-2": {"siaga3": 1.5, "siaga2": 2.0, "siaga1": 2.5},
    "gauge-3": {"siaga3": 0.9, "siaga2": 1.3, "siaga1": 1.7},
    "bench-1": {"siaga3": 1.0, "siaga2": 1.6, "siaga1": 2.0},
}
# Comes back by the quarter of an hour, so that whoever watches a demo sees a warning soon.
SURGE: Final = Recurring(timedelta(minutes=4), timedelta(minutes=5), timedelta(minutes=15))
_SURGE_M: Final = 0.5


def pilot(anchor: datetime) -> SimulatedPilot:
    """The flood pilot as it is when its simulation begins."""
    maintenance = recurring(anchor - timedelta(days=23, hours=5), timedelta(hours=6))
    gauges = _gauges(maintenance)
    return SimulatedPilot(
        key="cibinong-flood",
        service="SEC-02",
        kind="flood",
        params={"thresholds": _thresholds(anchor - PAST)},
        fleets=(
            Fleet(
                "gauge",
                900,
                _FIELDS,
                gauges,
                (LAT, LON),
                maintenance={"gauge-2": maintenance},
            ),
            # Far more often than a radio's duty cycle allows in the field: they make a page move.
            Fleet("gauge-bench", 10, _FIELDS, _BENCH, (LAT, LON), past=BENCH_PAST),
        ),
        planted=lambda now, seed: [
            *_rises(gauges, maintenance, anchor - PAST, now, seed),
            *truth(SITE, "gauge-2", "maintenance", maintenance, anchor, now),
            *truth(
                *(SITE, "bench-1", "surge", SURGE, anchor, now),
                finding="flood",
                severity="warning",
                after=SURGE.length,
                past=BENCH_PAST,
                value=_SURGE_M,
            ),
        ],
    )


# Weekly rises in turn: in any five weeks, gauge 2 passes Siaga 2 once, each gauge Siaga 3.
def _gauges(maintenance: Recurring) -> tuple[Device, ...]:
    return (
        Device(
            "gauge-1",
            eui(0x101),
            Rhythm(900, phase_s=40, jitter_s=4),
            Gauge(0.62, rises_m=(0.30, 0.85, 0.20, 0.75, 0.25)),
        ),
        Device(
            "gauge-2",
            eui(0x102),
            Rhythm(900, phase_s=130, jitter_s=4),
            Gauge(0.90, rises_m=(0.20, 0.75, 0.30, 1.25, 0.35), lag=timedelta(minutes=50)),
            silences=(maintenance,),
        ),
        Device(
            "gauge-3",
            eui(0x103),
            Rhythm(900, phase_s=220, jitter_s=4),
            Gauge(0.45, rises_m=(0.10, 0.20, 0.15, 0.60, 0.10), lag=timedelta(minutes=95)),
        ),
    )


_BENCH: Final = tuple(
    Device(
        f"bench-{number}",
        eui(0x200 + number),
        Rhythm(10, phase_s=5.0 * (number - 1), jitter_s=0.2),
        Gauge(
            0.5 + 0.2 * number,
            ripple_m=0.03 * number,
            surge=Event(SURGE, _SURGE_M, timedelta(minutes=1)) if number == 1 else None,
        ),
    )
    for number in (1, 2)
)


def _thresholds(start: datetime) -> dict[str, list[dict[str, Any]]]:
    valid_from = start.date().isoformat()
    return {
        gauge: [{"valid_from": valid_from, **limits, "source": INVENTED}]
        for gauge, limits in LIMITS_M.items()
    }


def _rises(
    gauges: tuple[Device, ...], maintenance: Recurring, start: datetime, now: datetime, seed: int
) -> Iterator[Planted]:
    """Rises above Siaga 3 that reach into the past; value: metres at the peak. They end when a
    fifth of them is left."""
    weeks = range((start - EPOCH) // WEEK - 1, (now - EPOCH) // WEEK + 1)
    for device, week in ((device, week) for device in gauges for week in weeks):
        gauge, limits = device.instrument, LIMITS_M[device.key]
        assert isinstance(gauge, Gauge)
        begins, height = rise(gauge, seed, week)
        top, over = gauge.base_m + height, begins + 4 * TIME_TO_PEAK
        passed = [name for name, limit in limits.items() if top - gauge.swing_m > limit]
        if not passed or over < start or begins >= now:
            continue
        cut = begins < start or (device.silences and any(maintenance.touching(begins, over)))
        severity = None if cut else _SEVERITY[passed[-1]]
        due = None if cut else begins + TIME_TO_PEAK + timedelta(minutes=30)
        yield Planted(SITE, device.key, passed[-1], begins, over, top, "flood", severity, due)
