"""A site with a source for every adapter, and a sound message of every kind each of them reads."""

import json
from typing import Any, Final

from tests.vectors import samples

SITE: Final = "city"
FILTERS: Final = {
    "chirpstack": ["application/5d0c0b7e-52ac-4a34-9b2e-7f60a1c4e001/#", "as923_2/gateway/#"],
    "kerlink": ["kerlink/#"],
    "lab": [f"livinglab/{SITE}/#"],
    "milesight": ["/milesight/#"],
    "rak": ["application/1/#"],
    "tts": ["v3/app1@ttn/#"],
    "vega": ["vega/#"],
}
DEVICES: Final = {
    "chirpstack": {"c1": "eui:24e124fffe0000a1"},
    "kerlink": {"k1": "eui:343737394a000001"},
    "lab": {"g1": None, "free": None},
    "milesight": {"m1": "eui:24e124fffe0000c1"},
    "rak": {"r1": "eui:ac1f09fffe0000e1"},
    "tts": {"dev1": "eui:4200000000000000", "dev2": "eui:0004a30b001c0530"},
    "vega": {"v1": "imei:867723030000001"},
}
FIELDS: Final = {
    "level": ("rainfall", "mm"),
    "object.level": ("water_level", "cm"),
    "object.battery.volt": ("battery_voltage", "V"),
    "object.temperature": ("air_temperature", "Cel"),
    "object.moisture": ("soil_moisture", "%"),
    "Telemetry.pulse1": ("water_volume_index", "L"),
}
_FEEDBACK: Final[dict[str, Any]] = {
    "id": "f1",
    "time": "2026-03-01T02:15:30Z",
    "service_code": "flood",
    "description": "Banjir! 0812-3456-7890",
    **{"lat": -6.48, "long": 106.85, "rating": 2, "lang": "id", "origin": "measured"},
}
_OWN: Final[list[tuple[str, Any]]] = [
    ("g1/up", {"time": "2026-03-01T02:15:30Z", "id": "a", "values": {"level": 4.5, "mood": "x"}}),
    ("g1/up", {"time": 1772331330000, "seq": 7, "values": {"level": 1}, "history": True}),
    ("free/up", {"time": "2026-03-01T02:15:30+07:00", "values": {"air_temperature": 26.5}}),
    ("g1/up", {"values": {"level": 10}}),
    (
        "g1/up",
        [{"bn": "g1", "bt": 1772331330, "n": "level", "u": "mm", "v": 1.25}, {"v": 2, "t": 9}],
    ),
    ("g1/up", [{"n": "level", "u": "cm", "v": 3, "bver": 10, "bu": "mm", "bv": 1, "vb": True}]),
    ("feedback", _FEEDBACK),
]


def content() -> dict[str, Any]:
    """The site file."""
    profile = {
        "key": "any",
        "fields": {n: {"property": p, "unit": u} for n, (p, u) in FIELDS.items()},
    }
    return {
        "site": {"key": SITE, "name": "City", "zone": "Asia/Jakarta", "lat": 0, "lon": 0}
        | {"stage": "experiment"},
        "sources": [{"key": a, "adapter": a, "filters": filters} for a, filters in FILTERS.items()],
        "profiles": [profile],
        "devices": [
            {"key": key, "source": adapter, "origin": "measured"}
            | ({"id": number} if number else {})
            | ({} if key == "free" else {"profile": "any"})
            for adapter, devices in DEVICES.items()
            for key, number in devices.items()
        ],
    }


def sound(adapter: str) -> list[tuple[str, bytes]]:
    """Topic and body of messages as they should be."""
    if adapter == "lab":
        return [(f"livinglab/{SITE}/{end}", json.dumps(body).encode()) for end, body in _OWN]
    return [(s.topic, s.body) for s in samples().values() if s.adapter == adapter]
