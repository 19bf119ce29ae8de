"""What a network server tells about a device itself: battery and link, each null with a reason."""

from datetime import datetime
from typing import Final

from services.ingest.uplink import Record
from shared.domain.property import HEALTH

# Field of a record → property; every device has them, whatever its profile says.
FIELDS: Final = {f"health.{key}": key for key in HEALTH}
_UNKNOWN: Final = 255  # LoRaWAN 1.0.4 section 5.5: the device could not measure its battery
_MOST: Final = 254


def battery(
    percent: float | None, *, external: bool, unavailable: bool
) -> tuple[float | None, str | None]:
    """Percent, or None and why: a device on mains power has no level, and none is made up."""
    if external:
        return None, "external_power"
    if unavailable or percent == _UNKNOWN:
        return None, "unavailable"
    if percent is None:
        return None, "not_told"
    if not 0 <= percent <= 100:
        return None, f"out_of_range: {percent:g}"
    return percent, None


def battery_of_octet(octet: int) -> tuple[float | None, str | None]:
    """The battery octet of DevStatusAns: 0 external power, 1 to 254 the level, 255 unknown."""
    return battery(octet / _MOST * 100, external=octet == 0, unavailable=octet == _UNKNOWN)


def record(time: datetime, battery_level: float | None, link_margin: float | None) -> list[Record]:
    """One record of what is known (%, dB); none when nothing is."""
    told = {"health.battery_level": battery_level, "health.link_margin": link_margin}
    known: dict[str, object] = {name: value for name, value in told.items() if value is not None}
    return [Record(time, known)] if known else []
