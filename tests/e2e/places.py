"""Site files of the pages' test world: Cibinong (simulated) and the Calder Valley (recorded)."""

from datetime import datetime, timedelta
from typing import Any, Final

GAUGES: Final = {"ciliwung-up": (-6.4702, 106.8391), "ciliwung-mid": (-6.4861, 106.8428)}
LIMITS: Final = {"valid_from": "2026-01-01", "siaga3": 1.2, "siaga2": 1.6, "siaga1": 2.0}
THRESHOLDS: Final = {key: [{**LIMITS, "source": "invented"}] for key in GAUGES}
METERS: Final = [f"meter-{n:02}" for n in range(1, 9)]


def cibinong(now: datetime) -> dict[str, Any]:
    planned = (now - timedelta(days=40)).date().isoformat()
    gauge = {"pilot": "flood", "source": "plain", "origin": "simulated", "planned": planned}
    meter = {"pilot": "metering", "profile": "meter", "source": "plain", "origin": "simulated"}
    return {
        "site": {
            "key": "cibinong",
            "name": "Cibinong",
            "zone": "Asia/Jakarta",
            "lat": -6.4817,
            "lon": 106.8540,
            "stage": "experiment",
        },
        "sources": [{"key": "plain", "adapter": "lab", "filters": ["livinglab/cibinong/#"]}],
        "profiles": [
            _profile("gauge", 900, "level", "water_level"),
            _profile("fast-gauge", 10, "level", "water_level"),
            _profile("odd-gauge", None, "level", "water_level"),
            _profile("meter", 3600, "volume", "water_volume_index"),
        ],
        "pilots": [
            {
                **_pilot("flood", "SEC-02", "flood", "simulated"),
                "params": {"thresholds": THRESHOLDS},
            },
            _pilot("metering", "WAT-04", "metering", "simulated"),
        ],
        "devices": [
            *(
                {**gauge, "key": key, "profile": "gauge", "lat": lat, "lon": lon}
                for key, (lat, lon) in GAUGES.items()
            ),
            {**gauge, "key": "kali-baru", "profile": "gauge", "lat": -6.4935, "lon": 106.8612},
            {**gauge, "key": "weir", "profile": "fast-gauge", "lat": -6.4788, "lon": 106.8570},
            {**gauge, "key": "old-staff", "profile": "odd-gauge", "lat": -6.5010, "lon": 106.8490},
            {**gauge, "key": "bridge", "profile": "gauge"},
            *(
                {**meter, "key": key, "lat": -6.474 + 0.0021 * (i % 4), "lon": 106.849 + 0.004 * i}
                for i, key in enumerate(METERS)
            ),
        ],
    }


def calder(now: datetime) -> dict[str, Any]:
    places = {"hebden-bridge": (53.7420, -2.0130), "todmorden": (53.7140, -2.0990)}
    return {
        "site": {
            "key": "calder",
            "name": "Calder Valley",
            "zone": "Europe/London",
            "lat": 53.728,
            "lon": -2.05,
            "stage": "foundation",
        },
        "sources": [{"key": "plain", "adapter": "lab", "filters": ["livinglab/calder/#"]}],
        "profiles": [_profile("station", 900, "level", "water_level")],
        "pilots": [_pilot("river", "SEC-02", "flood", "recorded")],
        "devices": [
            {
                "key": key,
                "pilot": "river",
                "profile": "station",
                "source": "plain",
                "origin": "recorded",
                "lat": lat,
                "lon": lon,
                "planned": now.date().isoformat(),
            }
            for key, (lat, lon) in places.items()
        ],
    }


def _profile(key: str, interval_s: int | None, field: str, name: str) -> dict[str, Any]:
    return {"key": key, "interval_s": interval_s, "fields": {field: {"property": name}}}


def _pilot(key: str, service: str, kind: str, origin: str) -> dict[str, Any]:
    return {"key": key, "service": service, "kind": kind, "phase": 1, "origin": origin}
