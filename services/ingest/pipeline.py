"""The hot path up to the database: message → source → adapter → device → readings, as steps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from services.ingest import health
from services.ingest.fleet import Device, Fleet, Source
from services.ingest.mapping import Item, Reading, map_uplink
from services.ingest.uplink import (
    Adapter,
    ByKey,
    ByTopic,
    Feedback,
    Message,
    Refused,
    Uplink,
    content_key,
    identity,
    plausible,
)
from shared.domain.property import PROPERTIES

log = structlog.get_logger()
NO_SOURCE = Source(0, 0, "", "", ())  # its filters were changed while messages were under way


@dataclass(slots=True)
class Prepared:
    """One message ready to be written: exactly one of uplink, feedback, refused is set."""

    message: Message
    id: UUID
    source: Source
    personal: bool = False
    device: Device | None = None
    uplink: Uplink | None = None
    feedback: Feedback | None = None
    refused: Refused | None = None
    readings: list[Reading] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)

    @property
    def kept_apart(self) -> bool:
        """Whether its bytes go to feedback_raw, which belongs to a site, and nowhere else. What a
        device's source publishes under such a topic, and its adapter reads, are no one's words."""
        return self.personal and self.uplink is None and self.source is not NO_SOURCE

    @property
    def reject_id(self) -> UUID:
        """The id these bytes have, or once had, among the rejects."""
        return _reject_id(self.message)

    @property
    def missing(self) -> set[str]:
        """Properties without a datastream yet: of any device's health, and whatever else a device
        without a profile sends."""
        if self.device is None:
            return set()
        unmapped = {item.about for item in self.items if item.reason == "unmapped"}
        told = {health.FIELDS[name] for name in unmapped & health.FIELDS.keys()}
        return told if self.device.has_profile else told | unmapped & PROPERTIES.keys()


def prepare(message: Message, fleet: Fleet, adapters: Mapping[str, Adapter]) -> Prepared:
    """All that can be decided without the database. Never raises: poison must not block."""
    source = fleet.source_of(message.topic) or NO_SOURCE
    prepared = Prepared(message, _reject_id(message), source)
    prepared.personal = any(each.is_personal(message.topic) for each in adapters.values())
    try:
        adapter = _adapter(source, adapters)
        understood = adapter.parse(message)
        if isinstance(understood, Feedback):
            _accept_feedback(prepared, understood)
        else:
            _accept_uplink(prepared, understood, fleet)
    except Refused as refused:
        prepared.refused = refused
    except Exception as error:  # a fault of ours: the message is kept, and the stream goes on
        log.exception("message_crashed_the_pipeline", topic=message.topic, reject=str(prepared.id))
        prepared.refused = Refused("internal_error", f"{type(error).__name__}: {error}"[:500])
    return prepared


def _accept_uplink(prepared: Prepared, uplink: Uplink, fleet: Fleet) -> None:
    message = prepared.message
    prepared.device = _device(uplink, prepared.source, fleet)
    _require_plausible_clock(uplink, message)
    prepared.id = identity(message.topic, uplink.key)
    prepared.uplink = uplink
    for outcome in map_uplink(uplink, prepared.device, message.received_at):
        if isinstance(outcome, Reading):
            prepared.readings.append(outcome)
        else:
            prepared.items.append(outcome)


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


def _require_plausible_clock(uplink: Uplink, message: Message) -> None:
    """Refuse the message when its own time, or that of every record, is none we accept."""
    if not plausible(uplink.observed_at, message.received_at) or (
        uplink.records
        and not any(plausible(record.time, message.received_at) for record in uplink.records)
    ):
        raise Refused("bad_clock", f"event time {uplink.observed_at.isoformat()}")


def _adapter(source: Source, adapters: Mapping[str, Adapter]) -> Adapter:
    if source is NO_SOURCE:
        raise Refused("unknown_source", "the topic falls under no source's filters")
    adapter = adapters.get(source.adapter)
    if adapter is None:
        raise Refused("unknown_adapter", f"no adapter is named {source.adapter!r}")
    return adapter


def _reject_id(message: Message) -> UUID:
    return identity(message.topic, f"refused:{content_key(message.payload)}")
