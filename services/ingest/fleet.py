"""What ingest knows of sources, devices and datastreams: a snapshot, renewed when it changes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg

from services.ingest import health
from services.ingest.uplink import ByRadio, ByTopic
from shared.domain import topic as topics
from shared.domain.property import PROPERTIES
from shared.domain.quality import Span
from shared.domain.unit import converter

_REMEMBERED_TOPICS: Final = 50_000
_LONGEST_REMEMBERED: Final = 500  # as many topics of 64 KB would be 3 GB


@dataclass(frozen=True, slots=True)
class Source:
    """One MQTT credential and what it may publish."""

    id: int
    site_id: int
    site: str
    adapter: str
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a field goes: its datastream, the way to the canonical unit, and the range test."""

    datastream_id: int
    property: str
    convert: Callable[[float], float]
    hard: Span | None
    soft: Span | None


@dataclass(frozen=True, slots=True)
class Device:
    """A registered device and where each of its fields goes."""

    id: int
    source_id: int
    origin: str
    has_profile: bool
    targets: Mapping[str, Target]


@dataclass(slots=True)
class Fleet:
    """One snapshot of the registry."""

    sources: list[Source]
    devices: Mapping[ByRadio | ByTopic, Device]
    _by_topic: dict[str, Source | None] = field(default_factory=dict)

    def source_of(self, topic: str) -> Source | None:
        """The source whose filters cover a topic; remembered, since topics repeat."""
        if len(topic) > _LONGEST_REMEMBERED:
            return self._find(topic)
        if topic not in self._by_topic:
            if len(self._by_topic) >= _REMEMBERED_TOPICS:
                self._by_topic.clear()
            self._by_topic[topic] = self._find(topic)
        return self._by_topic[topic]

    def _find(self, topic: str) -> Source | None:
        covering = (s for s in self.sources if any(topics.matches(f, topic) for f in s.filters))
        return next(covering, None) if topics.possible(topic) else None

    @property
    def filters(self) -> list[str]:
        """Every topic filter to subscribe to."""
        return [each for source in self.sources for each in source.filters]


def load(connection: psycopg.Connection) -> Fleet:
    """Read the whole registry: small beside the readings, and consistent in one snapshot."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        sources = [
            Source(number, site_id, site, adapter, tuple(filters))
            for number, site_id, site, adapter, filters in connection.execute(_SOURCES)
        ]
        streams: dict[int, dict[tuple[str, str], int]] = {}
        for number, device_id, name, channel in connection.execute(_DATASTREAMS):
            streams.setdefault(device_id, {})[name, channel] = number
        devices: dict[ByRadio | ByTopic, Device] = {}
        for row in connection.execute(_DEVICES):
            number, source_id, origin, key, external_id, site, fields = row
            targets = _targets(fields, streams.get(number, {}))
            device = Device(number, source_id, origin, fields is not None, targets)
            devices[ByTopic(site, key)] = device
            if external_id:
                devices[ByRadio(external_id)] = device
    return Fleet(sources, devices)


def _targets(
    fields: Mapping[str, Any] | None, streams: Mapping[tuple[str, str], int]
) -> dict[str, Target]:
    """By field of the profile; without a profile by property key, in its canonical unit. What the
    network server tells of the device's health has its place with any profile."""
    if fields is None:
        fields = {name: {"property": name} for name, channel in streams if channel == ""}
    told = {name: {"property": key} for name, key in health.FIELDS.items()}
    return {
        _canonical(name): _target(streams[m["property"], m.get("channel", "")], m)
        for name, m in (told | dict(fields)).items()
        # Applied by a newer release: unmapped until ingest is restarted with it.
        if (m["property"], m.get("channel", "")) in streams and m["property"] in PROPERTIES
    }


def _canonical(field: str) -> str:
    """A decoded value has one name, whichever network server had it decoded: a profile is of a
    device model. `decoded_payload.level` is how The Things Stack writes `object.level`."""
    for prefix in _DECODED:
        if field.startswith(prefix):
            return f"object.{field.removeprefix(prefix)}"
    return field


def _target(datastream_id: int, mapping: Mapping[str, Any]) -> Target:
    known = PROPERTIES[mapping["property"]]
    hard, soft = mapping.get("hard"), mapping.get("soft")
    return Target(
        datastream_id,
        known.key,
        converter(mapping.get("unit") or known.unit, known.unit),
        (hard[0], hard[1]) if hard else known.hard,
        (soft[0], soft[1]) if soft else known.soft,
    )


def add_datastreams(
    connection: psycopg.Connection, device_id: int, properties: Iterable[str]
) -> None:
    """Make the datastreams of a device without a profile, at the first message that needs them."""
    for name in properties:
        connection.execute(
            """
            INSERT INTO datastream (device_id, property, unit) VALUES (%s, %s, %s)
            ON CONFLICT DO NOTHING
            """,
            [device_id, name, PROPERTIES[name].unit],
        )


_DECODED: Final = ("uplink_message.decoded_payload.", "decoded_payload.")
_SOURCES: Final = """
    SELECT source.id, source.site_id, site.key AS site, source.adapter, source.filters
    FROM source JOIN site ON site.id = source.site_id ORDER BY source.id
"""
_DATASTREAMS: Final = """
    SELECT id, device_id, property, channel FROM datastream WHERE derived_by IS NULL
"""
_DEVICES: Final = """
    SELECT device.id, device.source_id, device.origin, device.key, device.external_id,
           site.key AS site, profile.fields
    FROM device
    JOIN site ON site.id = device.site_id
    LEFT JOIN profile ON profile.id = device.profile_id
"""
