"""The sites, devices and profiles of the stream of events."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

# Each has a change of clocks within the month but the first two; Lord Howe's is of half an hour.
ZONES: Final = {
    "bandung": "Asia/Jakarta",
    "yangon": "Asia/Yangon",
    "london": "Europe/London",
    "stjohns": "America/St_Johns",
    "howe": "Australia/Lord_Howe",
}
START: Final = datetime(2025, 10, 3, tzinfo=UTC)
SPAN: Final = timedelta(days=32)
LATE_FROM: Final = (
    START + SPAN / 2 + timedelta(minutes=31)
)  # when `late` and `moved` are registered as they publish
MINUTE: Final = timedelta(minutes=1)
PLAIN: Final = ("g1", "g2", "free", "late", "moved")

# Field of the gauge's profile → property, and the sender's unit as the canonical one.
GAUGE: Final[dict[str, tuple[str, Callable[[float], float]]]] = {
    "level": ("water_level", lambda cm: cm / 100),
    "rain": ("rainfall", lambda mm: mm),
    "temp": ("air_temperature", lambda kelvin: kelvin - 273.15),
    "pump": ("flow", lambda m3_h: m3_h / 3.6),
}
LIKELY: Final = {
    "water_level": (-6000.0, 11000.0),  # centimetres
    "rainfall": (-5.0, 600.0),
    "air_temperature": (200.0, 350.0),  # kelvin
    "flow": (-1e6, 1e6),
}


def eui(site: str) -> str:
    return f"24e124fffe0000{[*ZONES].index(site):02x}"


def site_file(site: str, *, late: bool) -> dict[str, Any]:
    """The site at first, or with the devices that are registered late."""
    device = {"origin": "measured", "source": "plain"}
    devices = [
        *({**device, "key": key, "profile": "gauge"} for key in ("g1", "g2")),
        {**device, "key": "free"},
        {**device, "key": "radio", "profile": "radio", "source": "radio", "id": f"eui:{eui(site)}"},
        {**device, "key": "moved", "profile": "gauge", "source": "plain" if late else "other"},
        *([{**device, "key": "late", "profile": "gauge"}] if late else []),
    ]
    units = {"level": "cm", "rain": "mm", "temp": "K", "pump": "m3/h"}
    gauge = {name: {"property": of, "unit": units[name]} for name, (of, _) in GAUGE.items()}
    radio = {
        "object.level": {"property": "water_level", "unit": "cm"},
        "object.battery.volt": {"property": "battery_voltage", "unit": "V"},
    }
    return {
        "site": {"key": site, "name": site, "zone": ZONES[site], "lat": 0, "lon": 0}
        | {"stage": "experiment"},
        "sources": [
            {"key": "plain", "adapter": "lab", "filters": [f"livinglab/{site}/#"]},
            {"key": "other", "adapter": "lab", "filters": [f"other/{site}/#"]},
            {"key": "radio", "adapter": "chirpstack", "filters": [f"application/{site}/#"]},
        ],
        "profiles": [{"key": "gauge", "fields": gauge}, {"key": "radio", "fields": radio}],
        "devices": devices,
    }


def owners(*, late: bool) -> dict[str, str]:
    """Which source each registered device publishes as."""
    return {
        f"{site}/{device['key']}": f"{site}/{device['source']}"
        for site in ZONES
        for device in site_file(site, late=late)["devices"]
    }
