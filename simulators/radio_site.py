"""A simulated site of LoRaWAN devices: site file, messages and truth from one description."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from simulators import citizens
from simulators.citizens import Neighbourhood
from simulators.device import Device, Recurring
from simulators.gateway import NONE, Faults, Network, uplinks
from simulators.message import Timed
from simulators.noise import between
from simulators.scenario import Planted, Scenario

PAST: Final = timedelta(days=35)
BENCH_PAST: Final = timedelta(hours=1)
ZONE: Final = "Asia/Jakarta"
WIB: Final = timedelta(hours=7)  # its offset; Indonesia changes no clocks
INVENTED: Final = "invented for this simulation"


@dataclass(frozen=True, slots=True)
class Fleet:
    """Devices of one profile. fields: dotted path → property and unit; place: where they stand,
    give or take `spread` degrees; past: how much history they have when the simulation begins;
    maintenance: silences written down beforehand, by device key."""

    profile: str
    interval_s: int
    fields: Mapping[str, tuple[str, str]]
    devices: tuple[Device, ...]
    place: tuple[float, float]
    spread: float = 0.012
    faults: Faults = NONE
    past: timedelta = PAST
    never_active: frozenset[str] = frozenset()
    maintenance: Mapping[str, Recurring] = field(default_factory=dict)


def _none(_now: datetime, _seed: int) -> Iterable[Planted]:
    return ()


@dataclass(frozen=True, slots=True)
class SimulatedPilot:
    """One pilot and its devices. planted(now, seed): its truth, see Scenario."""

    key: str
    service: str
    kind: str
    params: Mapping[str, Any]
    fleets: tuple[Fleet, ...]
    planted: Callable[[datetime, int], Iterable[Planted]] = _none


@dataclass(frozen=True, slots=True)
class SimulatedSite:
    """A site as it is when its simulation began at some anchor."""

    key: str
    name: str
    lat: float
    lon: float
    network: Network
    pilots: tuple[SimulatedPilot, ...]
    neighbourhood: Neighbourhood


def scenario(name: str, title: str, build: Callable[[datetime], SimulatedSite]) -> Scenario:
    """The scenario of one simulated site. build(anchor): the site."""
    return Scenario(
        name=name,
        title=title,
        origin="simulated",
        site_files=lambda anchor: [_site_file(build(anchor), anchor)],
        messages=lambda anchor, now, seed: _messages(build(anchor), anchor, now, seed),
        planted=lambda anchor, now, seed: [
            fact for pilot in build(anchor).pilots for fact in pilot.planted(now, seed)
        ],
    )


def truth(
    site: str,
    device: str,
    what: str,
    when: Recurring,
    anchor: datetime,
    now: datetime,
    *,
    finding: str | None = None,
    after: timedelta = timedelta(0),
    past: timedelta = PAST,
    value: float | None = None,
    severity: str | None = None,
) -> Iterator[Planted]:
    """The occurrences of a span that began before `now`, due `after` their begin.

    past: that of the fleet. What a start or a pause of the simulation may have cut is never due.
    """
    whole_since = max(anchor - past, now - 2 * past)
    for begin, end in when.touching(anchor - past, now):
        due = begin + after if begin >= whole_since else None
        yield Planted(site, device, what, begin, end, value, finding, severity, due)


def _messages(site: SimulatedSite, anchor: datetime, now: datetime, seed: int) -> Iterator[Timed]:
    senders = [
        uplinks(site.network, device, seed, _first(fleet, anchor, now), fleet.faults)
        for pilot in site.pilots
        for fleet in pilot.fleets
        for device in fleet.devices
        if device.key not in fleet.never_active
    ]
    said = citizens.feedback(site.neighbourhood, seed, anchor - PAST)
    return heapq.merge(*senders, said, key=lambda timed: timed.due)


def _first(fleet: Fleet, anchor: datetime, now: datetime) -> datetime:
    """After a pause a bench of ten-second devices does not fill in a week of them."""
    return max(anchor - fleet.past, now - 2 * fleet.past)


def _site_file(site: SimulatedSite, anchor: datetime) -> dict[str, Any]:
    source = f"{site.key}-chirpstack"
    return {
        "site": {
            "key": site.key,
            "name": site.name,
            "zone": ZONE,
            "lat": site.lat,
            "lon": site.lon,
            "stage": "experiment",
        },
        "sources": [
            {"key": source, "adapter": "chirpstack", "filters": [site.network.topic_filter]},
            {
                "key": f"{site.key}-citizens",
                "adapter": "lab",
                "filters": [f"livinglab/{site.key}/#"],
            },
        ],
        "profiles": [_profile(fleet) for pilot in site.pilots for fleet in pilot.fleets],
        "pilots": [
            {
                "key": pilot.key,
                "service": pilot.service,
                "kind": pilot.kind,
                "phase": 1,
                "origin": "simulated",
                "params": dict(pilot.params),
            }
            for pilot in site.pilots
        ],
        "devices": [
            _device(device, fleet, pilot.key, source, anchor)
            for pilot in site.pilots
            for fleet in pilot.fleets
            for device in fleet.devices
        ],
    }


def _profile(fleet: Fleet) -> dict[str, Any]:
    return {
        "key": fleet.profile,
        "interval_s": fleet.interval_s,
        "fields": {
            path: {"property": name, "unit": unit} for path, (name, unit) in fleet.fields.items()
        },
    }


def _device(
    device: Device, fleet: Fleet, pilot: str, source: str, anchor: datetime
) -> dict[str, Any]:
    live_from = (anchor - fleet.past).isoformat()
    logged = fleet.maintenance.get(device.key)
    spans = logged.touching(anchor - PAST, anchor + PAST) if logged else ()
    lat, lon = fleet.place
    return {
        "key": device.key,
        "id": f"eui:{device.eui}",
        "pilot": pilot,
        "profile": fleet.profile,
        "source": source,
        "lat": round(lat + between(-fleet.spread, fleet.spread, device.key, "lat"), 5),
        "lon": round(lon + between(-fleet.spread, fleet.spread, device.key, "lon"), 5),
        "planned": live_from,
        "commissioned": None if device.key in fleet.never_active else live_from,
        "maintenance": [(begin.isoformat(), end.isoformat()) for begin, end in spans],
        "origin": "simulated",
    }
