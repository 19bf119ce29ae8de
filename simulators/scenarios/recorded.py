"""Real recordings: Calder Valley rivers and rain, Birmingham car parks, an Italian water district.

Sources and licences (OGL v3.0, CC BY 4.0) are in simulators/data/README.md.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

from simulators import replay
from simulators.clock import whole_weeks
from simulators.message import Timed
from simulators.replay_map import Map, read_map
from simulators.scenario import Scenario

_DATA: Final = Path(__file__).parents[1] / "data"
RECORDINGS: Final = ("calder_valley", "birmingham_car_parks", "bwdf_area_e")
# Town centres, to about 1 km; the data gives no positions and other gauges have none here.
_TOWNS: Final = {
    "hebden-bridge": (53.74, -2.01),
    "mytholmroyd": (53.73, -1.98),
    "mytholmroyd-dauber-bridge": (53.73, -1.98),
    "bacup": (53.70, -2.20),
}
_CALDER_GAUGES: Final = {
    "hebden-bridge": "river",
    "mytholmroyd": "river",
    "mytholmroyd-dauber-bridge": "river",
    "nutclough": "river",
    "todmorden-callis-bridge": "river",
    "bacup": "rain",
    "gorple": "rain",
    "gorpley": "rain",
    "walshaw-dean-lodge": "rain",
}
_CAPACITY: Final = {
    "bhmbccmkt01": 577,
    "bhmbccsnh01": 863,
    "bhmbccthl01": 387,
    "bhmbrcbrg01": 1010,
    "bhmbrcbrg02": 1194,
    "bhmbrtarc01": 496,
    "bhmeurbrd01": 470,
    "bhmmbmmbx01": 687,
    "bhmncphst01": 1200,
    "bhmncpldh01": 720,
    "bhmncpran01": 600,
    "broad-street": 690,
    "bull-ring": 3053,
    "others-cccps119a": 2803,
    "others-cccps133": 4675,
    "others-cccps135a": 3883,
    "others-cccps202": 2937,
    "others-cccps8": 1322,
    "others-cccps98": 3103,
    "shopping": 1920,
}


@dataclass(frozen=True, slots=True)
class Recording:
    """One shipped file, its map, and when each of its devices was first heard."""

    file: Path
    mapping: Map
    newest: datetime
    first_heard: Mapping[str, datetime]

    def shift(self, anchor: datetime) -> timedelta:
        return whole_weeks(self.newest, anchor)

    def messages(self, anchor: datetime) -> Iterator[Timed]:
        assert self.mapping.site is not None
        return replay.messages(self.file, self.mapping, self.mapping.site, self.shift(anchor))


@cache
def recording(name: str) -> Recording:
    """A recording by the name of its files in simulators/data."""
    file, mapping = _DATA / f"{name}.csv.gz", read_map(_DATA / f"{name}.map.yaml")
    first: dict[str, datetime] = {}
    newest = None
    for record in replay.records(file, mapping):
        first.setdefault(record.device, record.time)
        newest = record.time  # rows are in time order
    assert newest is not None
    return Recording(file, mapping, newest, first)


def _messages(anchor: datetime, _now: datetime, _seed: int) -> Iterator[Timed]:
    streams = (recording(name).messages(anchor) for name in RECORDINGS)
    return heapq.merge(*streams, key=lambda timed: timed.due)


def _site_files(anchor: datetime) -> Sequence[dict[str, Any]]:
    return [_calder(anchor), _birmingham(anchor), _bwdf(anchor)]


def _calder(anchor: datetime) -> dict[str, Any]:
    heard = recording("calder_valley")
    return {
        "site": {
            "key": "calder-valley",
            "name": "Calder Valley, UK",
            "zone": "Europe/London",
            "lat": 53.74,
            "lon": -2.01,
            "stage": "foundation",
        },
        "sources": [_source("calder-valley")],
        "profiles": [
            {
                "key": "river",
                "interval_s": 900,
                "fields": {"level_m": {"property": "water_level", "unit": "m"}},
            },
            {
                "key": "rain",
                "interval_s": 900,
                "fields": {"rain_mm": {"property": "rainfall", "unit": "mm"}},
            },
        ],
        "pilots": [
            {
                "key": "calder-flood",
                "service": "SEC-02",
                "kind": "flood",
                "phase": 1,
                "origin": "recorded",
                # No limits come with the data, so there are no warning levels to tell.
                "params": {"thresholds": {}, "positions": "town centres, to about 1 km"},
            }
        ],
        "devices": [
            _device(heard, key, anchor, pilot="calder-flood", profile=profile)
            for key, profile in _CALDER_GAUGES.items()
        ],
    }


def _birmingham(anchor: datetime) -> dict[str, Any]:
    heard = recording("birmingham_car_parks")
    return {
        "site": {
            "key": "birmingham",
            "name": "Birmingham, UK",
            "zone": "Europe/London",
            "lat": 52.48,
            "lon": -1.90,
            "stage": "foundation",
        },
        "sources": [_source("birmingham")],
        # No interval: counts come in opening hours only, so a day's expected number is unknown.
        "profiles": [
            {
                "key": "car-park",
                "fields": {"occupancy": {"property": "parking_occupied", "unit": "1"}},
            }
        ],
        "pilots": [
            {
                "key": "birmingham-parking",
                "service": "MOB-02",
                "kind": "parking",
                "phase": 1,
                "origin": "recorded",
                "params": {"capacity": dict(_CAPACITY)},
            }
        ],
        "devices": [
            _device(heard, key, anchor, pilot="birmingham-parking", profile="car-park")
            for key in _CAPACITY
        ],
    }


def _bwdf(anchor: datetime) -> dict[str, Any]:
    heard = recording("bwdf_area_e")
    return {
        "site": {
            "key": "bwdf",
            "name": "Water district in north-east Italy",
            "zone": "Europe/Rome",
            "lat": 45.5,
            "lon": 12.0,
            "stage": "foundation",
        },
        "sources": [_source("bwdf")],
        "profiles": [
            {
                "key": "district-inflow",
                "interval_s": 3600,
                "fields": {"inflow_ls": {"property": "flow", "unit": "L/s"}},
            }
        ],
        "pilots": [
            {
                "key": "bwdf-leakage",
                "service": "WAT-01",
                "kind": "leakage",
                "phase": 1,
                "origin": "recorded",
                "params": {"areas": {"area-e": {"inflows": ["dma-05"]}}},
            }
        ],
        "devices": [
            _device(heard, "dma-05", anchor, pilot="bwdf-leakage", profile="district-inflow")
        ],
    }


def _source(site: str) -> dict[str, Any]:
    return {"key": f"{site}-replay", "adapter": "lab", "filters": [f"livinglab/{site}/+/up"]}


def _device(
    heard: Recording, key: str, anchor: datetime, *, pilot: str, profile: str
) -> dict[str, Any]:
    """Commissioned when first heard: the recordings do not say since when a device was there."""
    shift = heard.shift(anchor)
    place = dict(zip(("lat", "lon"), _TOWNS.get(key, ()), strict=False))
    return {
        "key": key,
        "pilot": pilot,
        "profile": profile,
        "source": f"{heard.mapping.site}-replay",
        "commissioned": (heard.first_heard[key] + shift).isoformat(),
        "origin": "recorded",
        "shift_s": int(shift.total_seconds()),
        **place,
    }


RECORDED: Final = Scenario(
    name="recorded",
    title="Recorded: British rivers and car parks, an Italian water district",
    origin="recorded",
    site_files=_site_files,
    messages=_messages,
)
