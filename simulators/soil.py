"""A soil node: moisture that each morning's irrigation lifts and the day lowers."""

import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from simulators.clock import EPOCH
from simulators.device import Frame, Recurring
from simulators.noise import between
from simulators.probe import Channel, value

_DAY: Final = timedelta(days=1)
_WATERED: Final = timedelta(hours=6)  # local time of the irrigation
_LOWEST: Final = 6.0  # percent: what the soil never gives away


@dataclass(frozen=True, slots=True)
class SoilNode:
    """wet: percent of volume after irrigation; drying: percent lost a day; offset: local time
    minus UTC; dry: when irrigation fails; warm: its temperature."""

    wet: float
    drying: float
    offset: timedelta
    warm: Channel
    dry: Recurring | None = None

    def frame(self, name: str, seed: int, at: datetime) -> Frame:
        moisture = round(10 * moisture_percent(self, name, seed, at))
        warmth = round(10 * value(self.warm, name, seed, at))
        salt = round(420 + 9 * moisture / 10)  # wetter soil conducts better
        return Frame(
            6,
            struct.pack(">BHhH", 6, moisture, warmth, salt),
            {"moisture": moisture / 10, "soil_temp": warmth / 10, "ec_us_cm": salt},
        )


def moisture_percent(node: SoilNode, name: str, seed: int, at: datetime) -> float:
    """Volumetric water content in percent, before it is rounded."""
    day = (at - EPOCH + node.offset - _WATERED) // _DAY
    watered = EPOCH + day * _DAY - node.offset + _WATERED
    while node.dry and node.dry.holds(watered):
        watered -= _DAY
    start = node.wet + between(-0.6, 0.6, seed, name, "dose", watered.timestamp())
    level = start - node.drying * ((at - watered) / _DAY)
    return max(_LOWEST, level) + between(-0.15, 0.15, seed, name, "noise", at.timestamp())
