"""Cibinong, simulated: river gauges and household water meters over LoRaWAN, and citizens.

Everything here is invented but the town's position: devices, limits, rises, faults, feedback.
"""

import heapq
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from simulators import citizens
from simulators.citizens import Neighbourhood, Saying
from simulators.clock import EPOCH, WEEK
from simulators.device import Device, Recurring, Rhythm
from simulators.gateway import Faults, Gateway, Network, uplinks
from simulators.gauge import TIME_TO_PEAK, Gauge, rise
from simulators.message import Timed
from simulators.meter import Meter
from simulators.noise import between
from simulators.scenario import Planted, Scenario

PAST: Final = timedelta(days=35)
BENCH_PAST: Final = timedelta(hours=1)
_SITE: Final = "cibinong"
_LAT, _LON = -6.4817, 106.8540
_WIB: Final = timedelta(hours=7)
_NEVER_ACTIVE: Final = "meter-24"

NETWORK: Final = Network(
    application_id=UUID("c1b10000-0000-4000-8000-000000000000"),
    application_name="cibinong-simulated",
    gateways=(
        Gateway("c1b1000000000001", -6.4790, 106.8512),
        Gateway("c1b1000000000002", -6.4868, 106.8601),
    ),
)
FAULTS: Final = Faults(lost=0.004, twice=0.004, late=0.02)

# Silent in each cycle of five weeks; only the gauge's is written down as maintenance beforehand.
MAINTENANCE: Final = Recurring(timedelta(days=12, hours=2), timedelta(hours=6))
OUTAGE: Final = Recurring(timedelta(days=20, hours=9), timedelta(hours=31))
EXCHANGE: Final = Recurring(timedelta(days=25, hours=3))
LEAK: Final = Recurring(timedelta(days=15, hours=6), timedelta(days=4))
LEAK_L_H: Final = 9.0


def _eui(number: int) -> str:
    return f"c1b1{number:012x}"


# Weekly rises in turn: in any five weeks, gauge 2 passes Siaga 2 once, each gauge Siaga 3.
GAUGES: Final = (
    Device(
        "gauge-1",
        _eui(0x101),
        Rhythm(900, phase_s=40, jitter_s=4),
        Gauge(0.62, rises_m=(0.30, 0.85, 0.20, 0.75, 0.25)),
    ),
    Device(
        "gauge-2",
        _eui(0x102),
        Rhythm(900, phase_s=130, jitter_s=4),
        Gauge(0.90, rises_m=(0.20, 0.75, 0.30, 1.25, 0.35), lag=timedelta(minutes=50)),
        silences=(MAINTENANCE,),
    ),
    Device(
        "gauge-3",
        _eui(0x103),
        Rhythm(900, phase_s=220, jitter_s=4),
        Gauge(0.45, rises_m=(0.10, 0.20, 0.15, 0.60, 0.10), lag=timedelta(minutes=95)),
    ),
)
LIMITS_M: Final = {
    "gauge-1": {"siaga3": 1.2, "siaga2": 1.6, "siaga1": 2.0},
    "gauge-2": {"siaga3": 1.5, "siaga2": 2.0, "siaga1": 2.5},
    "gauge-3": {"siaga3": 0.9, "siaga2": 1.3, "siaga1": 1.7},
}
# Far more often than a radio's duty cycle allows in the field: they make the page move.
BENCH: Final = tuple(
    Device(
        f"bench-{number}",
        _eui(0x200 + number),
        Rhythm(10, phase_s=5.0 * (number - 1), jitter_s=0.2),
        Gauge(0.5 + 0.2 * number, ripple_m=0.03 * number),
    )
    for number in (1, 2)
)


def _meter(number: int) -> Device:
    name = f"meter-{number:02}"
    return Device(
        name,
        _eui(0x300 + number),
        Rhythm(3600, phase_s=between(30, 3000, name, "phase"), jitter_s=300),
        Meter(
            daily_l=between(250, 900, name, "daily"),
            offset=_WIB,
            exchange=EXCHANGE if number == 11 else None,
            drip=LEAK if number == 8 else None,
            drip_l_h=LEAK_L_H,
        ),
        silences=(OUTAGE,) if number == 5 else (),
    )


METERS: Final = tuple(_meter(number) for number in range(1, 25))

NEIGHBOURHOOD: Final = Neighbourhood(
    _SITE,
    _LAT,
    _LON,
    every=timedelta(hours=14),
    sayings=(
        Saying("SEC-02", "id", "Air sungai naik cepat di dekat jembatan, mohon dicek."),
        Saying("SEC-02", "id", "Selokan tersumbat sampah, jalan tergenang setelah hujan."),
        Saying("SEC-02", "en", "The river is very high behind the market this evening."),
        Saying("SEC-02", "en", "The siren was clear, thank you. Water is going down now."),
        Saying("SEC-02", "id", "Genangan sudah surut. Laporan dari Contoh, hp 0812-0000-1234."),
        Saying("WAT-04", "id", "Meteran air berputar walau semua keran ditutup."),
        Saying("WAT-04", "id", "Tagihan bulan ini dua kali lipat. NIK saya 3201 0000 0000 0001."),
        Saying("WAT-04", "en", "Water pressure is low every morning around six."),
        Saying("WAT-04", "en", "Please call me about my meter: +62 811 0000 0000."),
        Saying("WAT-04", "en", "Seeing my use by the hour helped us find a dripping tap."),
        Saying("ENG-02", "id", "Kapan hasil survei warga diumumkan? Kirim ke warga@example.org"),
        Saying("ENG-02", "en", "The repair was quick, well done."),
    ),
)


def _messages(anchor: datetime, now: datetime, seed: int) -> Iterator[Timed]:
    start = anchor - PAST
    bench_start = max(anchor - BENCH_PAST, now - 2 * BENCH_PAST)  # a restart fills no week of 10 s
    senders = [
        *(uplinks(NETWORK, device, seed, start) for device in GAUGES),
        *(uplinks(NETWORK, device, seed, bench_start) for device in BENCH),
        *(
            uplinks(NETWORK, device, seed, start, FAULTS)
            for device in METERS
            if device.key != _NEVER_ACTIVE
        ),
        citizens.feedback(NEIGHBOURHOOD, seed, start),
    ]
    return heapq.merge(*senders, key=lambda timed: timed.due)


def _site_files(anchor: datetime) -> Sequence[dict[str, Any]]:
    start = anchor - PAST
    return [
        {
            "site": {
                "key": _SITE,
                "name": "Cibinong (simulated)",
                "zone": "Asia/Jakarta",
                "lat": _LAT,
                "lon": _LON,
                "stage": "experiment",
            },
            "sources": [
                {
                    "key": "cibinong-chirpstack",
                    "adapter": "chirpstack",
                    "filters": [NETWORK.topic_filter],
                },
                {"key": "cibinong-citizens", "adapter": "lab", "filters": ["livinglab/cibinong/#"]},
            ],
            "profiles": [
                _profile("gauge", 900, "object.level_cm", "water_level", "cm"),
                _profile("gauge-bench", 10, "object.level_cm", "water_level", "cm"),
                _profile("meter", 3600, "object.volume_l", "water_volume_index", "L"),
            ],
            "pilots": [
                _pilot("cibinong-flood", "SEC-02", "flood", {"thresholds": _thresholds(start)}),
                _pilot("cibinong-metering", "WAT-04", "metering", {}),
            ],
            "devices": [
                *(_device(d, "cibinong-flood", "gauge", start, anchor) for d in GAUGES),
                *(
                    _device(d, "cibinong-flood", "gauge-bench", anchor - BENCH_PAST, anchor)
                    for d in BENCH
                ),
                *(_device(d, "cibinong-metering", "meter", start, anchor) for d in METERS),
            ],
        }
    ]


def _profile(key: str, interval_s: int, field: str, name: str, unit: str) -> dict[str, Any]:
    fields = {field: {"property": name, "unit": unit}}
    return {"key": key, "interval_s": interval_s, "fields": fields}


def _pilot(key: str, service: str, kind: str, params: dict[str, Any]) -> dict[str, Any]:
    return {
        "key": key,
        "service": service,
        "kind": kind,
        "phase": 1,
        "origin": "simulated",
        "params": params,
    }


def _thresholds(start: datetime) -> dict[str, list[dict[str, Any]]]:
    source = "invented for this simulation"
    valid_from = start.date().isoformat()
    return {
        gauge: [{"valid_from": valid_from, **limits, "source": source}]
        for gauge, limits in LIMITS_M.items()
    }


def _device(
    device: Device, pilot: str, profile: str, live_from: datetime, anchor: datetime
) -> dict[str, Any]:
    logged = MAINTENANCE.touching(anchor - PAST, anchor + PAST)
    return {
        "key": device.key,
        "id": f"eui:{device.eui}",
        "pilot": pilot,
        "profile": profile,
        "source": "cibinong-chirpstack",
        "lat": round(_LAT + between(-0.012, 0.012, device.key, "lat"), 5),
        "lon": round(_LON + between(-0.012, 0.012, device.key, "lon"), 5),
        "planned": live_from.isoformat(),
        "commissioned": None if device.key == _NEVER_ACTIVE else live_from.isoformat(),
        "maintenance": [
            (begin.isoformat(), end.isoformat())
            for begin, end in logged
            if MAINTENANCE in device.silences
        ],
        "origin": "simulated",
    }


def _planted(anchor: datetime, now: datetime, seed: int) -> Sequence[Planted]:
    start = anchor - PAST
    return [
        *_rises(start, now, seed),
        *(Planted("gauge-2", "maintenance", a, b) for a, b in MAINTENANCE.touching(start, now)),
        *(Planted("meter-05", "outage", a, b) for a, b in OUTAGE.touching(start, now)),
        *(Planted("meter-11", "exchange", a, b) for a, b in EXCHANGE.touching(start, now)),
        *(Planted("meter-08", "leak", a, b, LEAK_L_H) for a, b in LEAK.touching(start, now)),
    ]


def _rises(start: datetime, now: datetime, seed: int) -> Iterator[Planted]:
    """Rises whose peak lies in [start, now) and above Siaga 3; value: metres at the peak."""
    weeks = range((start - EPOCH) // WEEK - 1, (now - EPOCH) // WEEK + 1)
    for device, week in ((device, week) for device in GAUGES for week in weeks):
        gauge, limits = device.instrument, LIMITS_M[device.key]
        assert isinstance(gauge, Gauge)
        begins, height = rise(gauge, seed, week)
        top, peak = gauge.base_m + height, begins + TIME_TO_PEAK
        passed = [name for name, limit in limits.items() if top - gauge.swing_m > limit]
        if passed and start <= peak < now:
            yield Planted(device.key, passed[-1], begins, peak, top)


CIBINONG_FLOOD_METERING: Final = Scenario(
    name="cibinong-flood-metering",
    title="Cibinong, simulated: flood gauges, water meters and citizens",
    origin="simulated",
    site_files=_site_files,
    messages=_messages,
    planted=_planted,
)
