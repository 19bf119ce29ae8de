"""Sites with their pilots and devices, and how each is doing: what the map and its list show."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.api.resources.devices import Device
from services.api.resources.findings import Finding
from services.api.resources.latest import Latest
from services.api.resources.pilots import Pilot
from services.api.resources.sites import Site
from services.api.web.status import Status, Tile, alarms, tiles, worst


@dataclass(frozen=True)
class Spot:
    """One device as a sign: the worse of how it speaks and what was found about it."""

    tile: Tile
    status: Status


@dataclass(frozen=True)
class Group:
    """Some devices counted, and the active findings about them."""

    spots: Sequence[Spot]
    findings: Sequence[Finding]

    @property
    def reporting(self) -> int:
        """Devices heard within three of their intervals."""
        return self._count("live")

    @property
    def unjudged(self) -> int:
        """Devices that were heard, but whose interval nobody knows."""
        return self._count("unjudged")

    @property
    def status(self) -> Status:
        return worst([*(s.status for s in self.spots), *(f.severity for f in self.findings)])

    def _count(self, status: Status) -> int:
        return sum(spot.tile.status == status for spot in self.spots)


@dataclass(frozen=True)
class Place:
    """One site: each of its pilots with its devices, and the devices of no pilot."""

    site: Site
    pilots: Sequence[tuple[Pilot, Group]]
    loose: Group

    @property
    def whole(self) -> Group:
        groups = [*(group for _, group in self.pilots), self.loose]
        return Group(
            [spot for group in groups for spot in group.spots],
            [finding for group in groups for finding in group.findings],
        )


def places(
    sites: Iterable[Site],
    pilots: Iterable[Pilot],
    devices: Iterable[Device],
    latest: Iterable[Latest],
    active: Iterable[Finding],
) -> list[Place]:
    """Every site with what belongs to it; pilots and devices of other sites are left out."""
    by_pilot: dict[int | str, list[Tile]] = {}
    for tile in tiles(devices, latest):
        by_pilot.setdefault(tile.device.pilot_id or tile.device.site, []).append(tile)
    found: dict[int, list[Finding]] = {}
    for finding in active:
        found.setdefault(finding.pilot_id, []).append(finding)
    pilots = list(pilots)
    return [
        Place(
            site,
            [
                (pilot, _group(by_pilot.get(pilot.id, []), found.get(pilot.id, [])))
                for pilot in pilots
                if pilot.site == site.key
            ],
            _group(by_pilot.get(site.key, []), []),
        )
        for site in sites
    ]


def _group(own: Iterable[Tile], active: Sequence[Finding]) -> Group:
    alarm = alarms(active)
    return Group(
        [Spot(t, worst((t.status, alarm.get(t.device.key, "waiting")))) for t in own], active
    )
