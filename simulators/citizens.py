"""Simulated citizens: feedback messages whose invented contacts show the scrubber at work."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from simulators.clock import EPOCH
from simulators.message import Message, Timed
from simulators.noise import between, digest, uniform


@dataclass(frozen=True, slots=True)
class Saying:
    """What somebody may write: about which service, in which language."""

    service_code: str
    lang: str
    text: str


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Where citizens write from, how often (one per `every`), and what they say."""

    site: str
    lat: float
    lon: float
    every: timedelta
    sayings: Sequence[Saying]


def feedback(place: Neighbourhood, seed: int, start: datetime) -> Iterator[Timed]:
    """Feedback messages from `start` on, one at a chance time in each span of `every`."""
    slot = max(0, (start - EPOCH) // place.every)
    while True:
        at = EPOCH + place.every * (slot + uniform(seed, place.site, "said", slot))
        if at >= start:
            yield Timed(at, _message(place, seed, slot, at))
        slot += 1


def _message(place: Neighbourhood, seed: int, slot: int, at: datetime) -> Message:
    chance = (seed, place.site, slot)
    saying = place.sayings[int(len(place.sayings) * uniform(*chance, "saying"))]
    key = f"sim-{digest(*chance).hex()}"
    body: Mapping[str, object] = {
        "id": key,
        "time": at.isoformat(timespec="seconds"),
        "service_code": saying.service_code,
        "description": saying.text,
        "lat": round(place.lat + between(-0.012, 0.012, *chance, "lat"), 5),
        "long": round(place.lon + between(-0.012, 0.012, *chance, "lon"), 5),
        **({"rating": 1 + int(5 * uniform(*chance, "stars"))} if slot % 3 == 0 else {}),
        "lang": saying.lang,
        "origin": "simulated",
    }
    return Message(f"livinglab/{place.site}/feedback", orjson.dumps(body), key)
