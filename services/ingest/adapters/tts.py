"""The Things Stack v3: application messages of its MQTT server or Pub/Sub, bridged to our broker.

Source: TheThingsIndustries/lorawan-stack-docs, integrations/{data-formats,other-integrations/mqtt}.
What a message is follows from its members, since a Pub/Sub topic is free.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from services.ingest import decoded, health
from services.ingest.body import read, require_same
from services.ingest.pushed import Pushed
from services.ingest.tts_body import (
    Body,
    Downlink,
    Failed,
    Ids,
    RxMetadata,
    ServiceData,
    Solved,
    Up,
)
from services.ingest.uplink import (
    Adapter,
    ByKey,
    ByRadio,
    Heard,
    Message,
    Record,
    Refused,
    Uplink,
    arrival_key,
    content_key,
)

_DRIFT: Final = timedelta(seconds=30)  # a gateway's clock this far from the server's is not set
# Those of 2004 to 2074: ten digits of time, sixteen of chance.
_ULID: Final = re.compile(r"(?:^|:)(0[12][0-9A-HJKMNP-TV-Z]{8})[0-9A-HJKMNP-TV-Z]{16}$")
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_Detail = Mapping[str, Any]


def parse(message: Message) -> Uplink:
    """An application message; decoded values are dotted paths below `object`, normalised ones
    below `normalized_payload.0`."""
    body = read(Body, message.payload)
    if body.downlinks is not None:
        raise Refused("unsupported_event", "a downlink request is a command, no event")
    if body.uplink_normalized is not None:
        raise Refused("unsupported_event", "its values are read from the uplink message itself")
    if body.end_device_ids is None:
        raise Refused("bad_message", "end_device_ids: Field required")
    _require_topic(message.topic, body.end_device_ids)
    if body.uplink_message is not None:
        return _up(body, body.uplink_message, message)
    for member, (kind, detail) in _EVENTS.items():
        told = getattr(body, member)
        if told is not None:
            return _event(kind, detail(body, told), body, message)
    raise Refused("unsupported_event", f"none of uplink_message, {', '.join(_EVENTS)}")


def _require_topic(topic: str, ids: Ids) -> None:
    match topic.split("/"):
        case [*_, "devices", device_id, _, _] | [*_, "devices", device_id, _] if ids.device_id:
            require_same(device_id, ids.device_id)


def _device(ids: Ids) -> ByRadio | ByKey:
    """By DevEUI; some messages, and devices activated by personalisation, carry none."""
    if ids.dev_eui:
        return ByRadio(f"eui:{ids.dev_eui}")
    if ids.device_id:
        return ByKey(ids.device_id)
    raise Refused("bad_message", "end_device_ids: neither dev_eui nor device_id")


def _up(body: Body, up: Up, message: Message) -> Uplink:
    assert body.end_device_ids is not None
    device = _device(body.end_device_ids)
    told = _up_time(body, up)
    time = told or message.received_at
    values = decoded.records(up.decoded_payload or {}, time) + _normalized(up, time)
    battery = up.last_battery_percentage
    state = health.record(battery.received_at, battery.value, None) if battery.received_at else []
    return Uplink(
        device=device,
        key=_key(device, up, message) if told else arrival_key(message),
        observed_at=time,
        records=[*values, *state],
        keyed=told is not None,
        f_cnt=up.f_cnt,
        f_port=up.f_port,
        radio=_radio(up),
        gateways=[heard for rx in up.rx_metadata if (heard := _heard(rx)).gateway_id],
        undecoded=_undecoded(up),
        history=any(record.time != time for record in values),
        simulated=body.simulated,
    )


def _key(device: ByRadio | ByKey, up: Up, message: Message) -> str:
    """The session changes at each join, and with it the frame counter begins again."""
    if not up.session_key_id:
        return content_key(message.payload)
    return f"{device}:{up.session_key_id}:{up.f_cnt}"


def _up_time(body: Body, up: Up) -> datetime | None:
    """When the frame was heard: by satellite time, else by a gateway's clock that agrees with the
    network server's, else when that server received it."""
    server = _server_time(body, up.received_at)
    gps = next((rx.gps_time for rx in up.rx_metadata if rx.gps_time), None)
    clocks = [up.settings.time, *(rx.time for rx in up.rx_metadata)]
    agreeing = (t for t in clocks if t and (server is None or abs(t - server) <= _DRIFT))
    return gps or next(agreeing, server)


def _server_time(body: Body, received_at: datetime | None) -> datetime | None:
    """When a server had it: told, or else in its newest correlation id, whose ULID holds ms."""
    found = [ulid[1] for each in body.correlation_ids if (ulid := _ULID.search(each))]
    return received_at or body.received_at or (_ulid_time(max(found)) if found else None)


def _ulid_time(text: str) -> datetime:
    """The first ten digits of a ULID: milliseconds since 1970."""
    count = 0
    for digit in text:
        count = count * 32 + _CROCKFORD.index(digit)
    return datetime.fromtimestamp(count / 1000, UTC)


def _normalized(up: Up, time: datetime) -> list[Record]:
    """Measurements by their own times where they have one; those of one time are counted from 0."""
    times: dict[datetime, list[object]] = {}
    for measurement in up.normalized_payload:
        times.setdefault(measurement.time or time, []).append(measurement.model_extra or {})
    return [Record(at, decoded.fields("normalized_payload", each)) for at, each in times.items()]


def _radio(up: Up) -> dict[str, Any]:
    lora = up.settings.data_rate.lora
    return {
        "frequency_hz": up.settings.frequency,
        "spreading_factor": lora.spreading_factor or None,
        "bandwidth_hz": lora.bandwidth or None,
        "rssi_dbm": [rx.rssi for rx in up.rx_metadata],
        "snr_db": [rx.snr for rx in up.rx_metadata],
    }


def _heard(rx: RxMetadata) -> Heard:
    """Gateways of other networks, through Packet Broker, may have no EUI."""
    name = rx.gateway_ids.eui or rx.gateway_ids.gateway_id
    return Heard(name, rx.location.latitude, rx.location.longitude) if rx.location else Heard(name)


def _undecoded(up: Up) -> str | None:
    """Why a data frame has no values; a formatter that failed leaves the bytes alone."""
    if up.decoded_payload is not None or up.normalized_payload:
        return None
    if not up.frm_payload or up.f_port == 0:
        return None
    return "no decoded payload: set a payload formatter in The Things Stack, or see why it fails"


def _event(kind: str, detail: _Detail, body: Body, message: Message) -> Uplink:
    assert body.end_device_ids is not None
    joined = body.join_accept.received_at if body.join_accept else None
    time = _server_time(body, joined)
    return Uplink(
        device=_device(body.end_device_ids),
        key=content_key(message.payload) if time else arrival_key(message),
        observed_at=time or message.received_at,
        records=[],
        keyed=time is not None,
        event=kind,
        detail=detail,
        simulated=body.simulated,
    )


def _join(body: Body, _told: object) -> _Detail:
    return {"dev_addr": body.end_device_ids.dev_addr.lower() if body.end_device_ids else ""}


def _downlink(_body: Body, told: Downlink) -> _Detail:
    """A downlink is known again by the correlation ids it was given, not by an id of its own."""
    named = told.correlation_ids[0] if told.correlation_ids else None
    return {"downlink_id": named, "f_cnt_down": told.f_cnt, "f_port": told.f_port}


def _acknowledged(body: Body, told: Downlink) -> _Detail:
    return {**_downlink(body, told), "acknowledged": body.downlink_ack is not None}


def _failed(body: Body, told: Failed) -> _Detail:
    said = {"level": "ERROR", "code": told.error.name, "description": told.error.message_format}
    return {**said, "context": _downlink(body, told.downlink)}


def _solved(_body: Body, told: Solved) -> _Detail:
    where = told.location
    return {
        "lat": where.latitude,
        "lon": where.longitude,
        "altitude_m": where.altitude,
        "source": where.source or told.service or None,
        "accuracy_m": where.accuracy or None,
    }


def _service(_body: Body, told: ServiceData) -> _Detail:
    return {"name": told.service, "type": "service_data"}


# Member of the body → kind of event, and what of it is kept.
_EVENTS: Final[Mapping[str, tuple[str, Callable[[Body, Any], _Detail]]]] = {
    "join_accept": ("join", _join),
    "downlink_queued": ("queued", _downlink),
    "downlink_sent": ("txack", _downlink),
    "downlink_ack": ("ack", _acknowledged),
    "downlink_nack": ("ack", _acknowledged),
    "downlink_failed": ("log", _failed),
    "location_solved": ("location", _solved),
    "service_data": ("integration", _service),
}

# Member of the body → the end of the topic on its MQTT server.
_TOPICS: Final[Mapping[str, str]] = {
    "uplink_message": "up",
    "join_accept": "join",
    "downlink_queued": "down/queued",
    "downlink_sent": "down/sent",
    "downlink_ack": "down/ack",
    "downlink_nack": "down/nack",
    "downlink_failed": "down/failed",
    "location_solved": "location/solved",
    "service_data": "service/data",
}


def topic_of(pushed: Pushed) -> str:
    """Its webhooks post the same JSON. They do not tell the tenant: the source's filters do."""
    body = pushed.body()
    told = body if isinstance(body, dict) else {}
    kind = next((end for name, end in _TOPICS.items() if told.get(name) is not None), None)
    if kind is None:
        raise Refused("unsupported_event", f"none of {', '.join(_TOPICS)}")
    application = pushed.text("end_device_ids", "application_ids", "application_id")
    owners = [each.split("/")[1] for each in pushed.filters if each.startswith("v3/")]
    owner = next((each for each in owners if each.partition("@")[0] == application), application)
    return f"v3/{owner}/devices/{pushed.text('end_device_ids', 'device_id')}/{kind}"


TTS = Adapter("tts", parse, topic_of=topic_of)
