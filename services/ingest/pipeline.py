"""The hot path up to the database: message → source → adapter → device → readings, as steps."""

from collections.abc import Mapping
from typing import Final, NamedTuple
from uuid import UUID

import structlog
from msgspec import Struct

from services.ingest import health
from services.ingest.fleet import Device, Fleet, Source
from services.ingest.mapping import Item, Reading, map_uplink
from services.ingest.uplink import (
    NO_ID,
    Adapter,
    ByKey,
    ByTopic,
    Clock,
    Feedback,
    Message,
    Refused,
    Uplink,
    content_key,
    identity,
    on_arrival,
    plausible,
)
from shared.domain.property import PROPERTIES

log = structlog.get_logger()
_REMEMBERED_TOPICS: Final = 50_000
_LONGEST_REMEMBERED: Final = 500  # as many topics of 64 KB would be 3 GB
NO_SOURCE = Source(0, 0, "", "", ())  # its filters were changed while messages were under way


class Prepared(Struct):
    """One message ready to be written: exactly one of uplink, feedback, refused is set."""

    message: Message
    id: bytes
    source: Source
    personal: bool = False
    device: Device | None = None
    uplink: Uplink | None = None
    feedback: Feedback | None = None
    refused: Refused | None = None
    readings: list[Reading] = []
    items: list[Item] = []

    @property
    def kept_apart(self) -> bool:
        """Whether its bytes go to feedback_raw, which belongs to a site, and nowhere else. What a
        device's source publishes under such a topic, and its adapter reads, are no one's words."""
        return self.personal and self.uplink is None and self.source is not NO_SOURCE

    @property
    def uuid(self) -> UUID:
        """The id as the database tells it."""
        return UUID(bytes=self.id)

    @property
    def missing(self) -> set[str]:
        """Properties without a datastream yet: of any device's health, and whatever else a device
        without a profile sends."""
        if not self.items or self.device is None:
            return set()
        unmapped = {item.about for item in self.items if item.reason == "unmapped"}
        told = {health.FIELDS[name] for name in unmapped & health.FIELDS.keys()}
        return told if self.device.has_profile else told | unmapped & PROPERTIES.keys()


class Route(NamedTuple):
    """What follows from a topic alone."""

    source: Source
    adapter: Adapter | Refused
    personal: bool


def prepare(message: Message, fleet: Fleet, adapters: Mapping[str, Adapter]) -> Prepared:
    """All that can be decided without the database. Never raises: poison must not block."""
    route = fleet.routes.get(message.topic) or _route(message.topic, fleet, adapters)
    prepared = Prepared(message, NO_ID, route.source, route.personal)
    try:
        if isinstance(route.adapter, Refused):
            raise Refused(route.adapter.reason, route.adapter.detail)
        understood = route.adapter.parse(message)
        if isinstance(understood, Feedback):
            _accept_feedback(prepared, understood)
        else:
            _accept_uplink(prepared, understood, fleet)
    except Refused as refused:
        prepared.refused = refused
        prepared.id = reject_id(message)
    except Exception as error:  # a fault of ours: the message is kept, and the stream goes on
        prepared.id = reject_id(message)
        log.exception(
            "message_crashed_the_pipeline", topic=message.topic, reject=str(prepared.uuid)
        )
        prepared.refused = Refused("internal_error", f"{type(error).__name__}: {error}"[:500])
    return prepared


def _route(topic: str, fleet: Fleet, adapters: Mapping[str, Adapter]) -> Route:
    source = fleet.source_of(topic) or NO_SOURCE
    personal = any(each.is_personal(topic) for each in adapters.values())
    route = Route(source, _adapter(source, adapters), personal)
    if len(topic) <= _LONGEST_REMEMBERED:
        if len(fleet.routes) >= _REMEMBERED_TOPICS:
            fleet.routes.clear()
        fleet.routes[topic] = route
    return route


def _accept_uplink(prepared: Prepared, uplink: Uplink, fleet: Fleet) -> None:
    message = prepared.message
    prepared.device = _device(uplink, prepared.source, fleet)
    clock = prepared.source.clock
    if clock.arrival and not plausible(uplink.observed_at, message.received_at, clock):
        uplink = on_arrival(uplink, message.received_at)
    _require_plausible_clock(uplink, message, clock)
    mapped = map_uplink(uplink, prepared.device, message.received_at, clock)
    prepared.readings, prepared.items = mapped
    prepared.id = identity(message.topic, uplink.key)
    prepared.uplink = uplink


def _accept_feedback(prepared: Prepared, feedback: Feedback) -> None:
    if feedback.site != prepared.source.site:
        raise Refused("wrong_source", f"this source belongs to {prepared.source.site!r}")
    if not plausible(feedback.time, prepared.message.received_at):
        raise Refused("bad_clock", f"time {feedback.time.isoformat()}")
    prepared.id = identity(prepared.message.topic, feedback.key)
    prepared.feedback = feedback


def _device(uplink: Uplink, source: Source, fleet: Fleet) -> Device:
    named = uplink.device
    place = ByTopic(source.site, named.key) if isinstance(named, ByKey) else named
    device = fleet.devices.get(place)
    if device is None:
        raise Refused("unknown_device", f"{named} is in no site file")
    if device.source_id != source.id:
        raise Refused("wrong_source", f"{named} belongs to another source")
    if uplink.simulated and device.origin != "simulated":
        raise Refused("simulated", f"the device is {device.origin}: no measurement")
    return device


def _require_plausible_clock(uplink: Uplink, message: Message, clock: Clock) -> None:
    """Refuse the message when its own time, or that of every record, is none we accept."""
    at, received_at = uplink.observed_at, message.received_at
    records = uplink.records
    if not plausible(at, received_at, clock) or not (
        not records
        or records[0].time is at
        or any(plausible(record.time, received_at, clock) for record in records)
    ):
        raise Refused("bad_clock", f"event time {uplink.observed_at.isoformat()}")


def _adapter(source: Source, adapters: Mapping[str, Adapter]) -> Adapter | Refused:
    if source is NO_SOURCE:
        return Refused("unknown_source", "the topic falls under no source's filters")
    return adapters.get(source.adapter) or Refused(
        "unknown_adapter", f"no adapter is named {source.adapter!r}"
    )


def reject_id(message: Message) -> bytes:
    """The id that a message has among the rejects if it is refused."""
    return identity(message.topic, f"refused:{content_key(message.payload)}")
