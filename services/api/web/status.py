"""Whether a device speaks: live, silent, or not to be judged."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from services.api.resources.devices import Device
from services.api.resources.findings import Finding
from services.api.resources.latest import Latest

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
    """One tile a device, in the devices' order."""
    rows: dict[int, list[Latest]] = {}
    for row in latest:
        rows.setdefault(row.device_id, []).append(row)
    made = []
    for device in devices:
        own = sorted(rows.get(device.id, []), key=lambda row: (row.derived_by or "", row.property))
        made.append(Tile(device, speaking(_age(own), device.interval_s), own))
    return made


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
    """Derived series do not count: they follow what was measured."""
    measured = (row.age_s for row in rows if row.derived_by is None)
    return min((age for age in measured if age is not None), default=None)
