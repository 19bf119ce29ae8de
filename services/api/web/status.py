"""Whether a device speaks: live, silent, or not to be judged."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from services.api.resources.devices import Device
from services.api.resources.findings import Finding
from services.api.resources.latest import Latest
from services.api.web.area import of_areas
from shared.domain.property import HEALTH

Status = Literal["live", "silent", "unjudged", "waiting", "info", "warning", "alarm", "critical"]
# The worst first: what one sign for many things shows.
_RANK: Final[tuple[Status, ...]] = (
    "critical",
    "alarm",
    "warning",
    "silent",
    "info",
    "unjudged",
    "live",
    "waiting",
)
_OF_ITSELF: Final = frozenset({"battery_voltage", *HEALTH})
SILENT_AFTER: Final = 3  # nominal intervals without a reading


@dataclass(frozen=True)
class Tile:
    """One device with its latest readings, measured before derived, and how it is doing."""

    device: Device
    status: Status
    rows: Sequence[Latest]

    @property
    def age_s(self) -> float | None:
        """Seconds since anything was measured; None: never."""
        return _age(self.rows)


def speaking(age_s: float | None, interval_s: int | None) -> Status:
    """How a device is doing by the age of its newest measured reading."""
    if age_s is None:
        return "waiting"
    if interval_s is None:
        return "unjudged"
    return "silent" if age_s > SILENT_AFTER * interval_s else "live"


def tiles(devices: Iterable[Device], latest: Iterable[Latest]) -> list[Tile]:
    """One tile a device, in the devices' order. latest: of the whole of their pilots, for a
    simulated or recorded device is silent only when others of its pilot were heard since.
    What is of an area is in no tile of a device."""
    latest = list(latest)
    elsewhere = of_areas(latest)
    rows: dict[int, list[Latest]] = {}
    for row in (each for each in latest if each.datastream_id not in elsewhere):
        rows.setdefault(row.device_id, []).append(row)
    behind = _behind(rows.values())
    made = []
    for device in devices:
        own = sorted(rows.get(device.id, []), key=_place)
        age = _age(own)
        judged = None if age is None else age - behind.get(device.pilot_id, 0.0)
        made.append(Tile(device, speaking(judged, device.interval_s), own))
    return made


def present_of(latest: Iterable[Latest]) -> datetime | None:
    """The newest measured time among rows that are not judged by the clock."""
    times = (
        row.time
        for row in latest
        if row.origin != "measured" and row.derived_by is None and row.property not in HEALTH
    )
    return max((time for time in times if time is not None), default=None)


def _behind(groups: Iterable[Sequence[Latest]]) -> dict[int | None, float]:
    """By how much the present of each simulated or recorded pilot is behind the clock, s."""
    found: dict[int | None, float] = {}
    for rows in groups:
        age = _age(rows)
        if age is not None and rows[0].origin != "measured" and rows[0].pilot_id is not None:
            found[rows[0].pilot_id] = min(age, found.get(rows[0].pilot_id, age))
    return found


def _place(row: Latest) -> tuple[str, bool, str, str]:
    """What was measured first, and what it says of the device itself last."""
    return row.derived_by or "", row.property in _OF_ITSELF, row.property, row.channel


def capacity(params: Mapping[str, Any]) -> dict[str, float]:
    """Parking spaces by device key, as the pilot states them; where it does not, none."""
    stated = params.get("capacity")
    return {
        key: spaces
        for key, spaces in (stated.items() if isinstance(stated, Mapping) else ())
        if isinstance(spaces, int | float) and not isinstance(spaces, bool)
    }


def alarms(findings: Iterable[Finding]) -> dict[str, Status]:
    """The worst severity among active findings, by `device` key."""
    found: dict[str, Status] = {}
    for finding in findings:
        if finding.active and finding.device:
            found[finding.device] = worst((finding.severity, found.get(finding.device, "waiting")))
    return found


def worst(statuses: Iterable[Status]) -> Status:
    """The one that asks for attention most; "waiting" when there is none."""
    return min(statuses, key=_RANK.index, default="waiting")


def _age(rows: Iterable[Latest]) -> float | None:
    """Derived series do not count, nor what a network server tells of the device itself."""
    measured = (row.age_s for row in rows if row.derived_by is None and row.property not in HEALTH)
    return min((age for age in measured if age is not None), default=None)
