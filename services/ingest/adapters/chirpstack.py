"""ChirpStack v4 MQTT integration, JSON encoding.

Source: chirpstack/chirpstack-docs, src/chirpstack/integrations/{mqtt,events}.md. Members at their
default value may be missing (documentation samples, nested gateway messages): numbers are then 0.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from services.ingest import chirpstack_up, decoded, health
from services.ingest.body import (
    Counter,
    Entries,
    Eui,
    Frame,
    GatewayId,
    Latitude,
    Longitude,
    Number,
    Port,
    Told,
    read,
    require_same,
    told,
)
from services.ingest.pushed import Pushed
from services.ingest.uplink import (
    Adapter,
    ByRadio,
    Heard,
    Message,
    Record,
    Refused,
    Uplink,
    content_key,
)

_Detail = Mapping[str, Any]


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class _DeviceInfo(_Model):
    dev_eui: Eui
    tags: dict[str, Any] = {}


class _Location(_Model):
    latitude: Latitude = 0.0
    longitude: Longitude = 0.0
    altitude: Number = 0.0
    source: Told = ""
    accuracy: Number = 0.0


class _RxInfo(_Model):
    gateway_id: GatewayId = ""
    rssi: int = 0
    snr: Number = 0.0
    location: _Location | None = None


class _Lora(_Model):
    spreading_factor: int = 0
    bandwidth: int = 0


class _Modulation(_Model):
    lora: _Lora | None = None


class _TxInfo(_Model):
    frequency: int = 0
    modulation: _Modulation = _Modulation()


class _Event(_Model):
    """What every event carries; txack and log have no deduplicationId."""

    deduplication_id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    time: AwareDatetime
    device_info: _DeviceInfo

    def detail(self) -> _Detail:
        """What is kept for the device's page."""
        return {}

    def records(self) -> list[Record]:
        """Values, at their times."""
        return []


class _Up(_Event):
    deduplication_id: Annotated[str, Field(min_length=1, max_length=64)]
    dr: int = 0
    f_cnt: Counter = 0
    f_port: Port = 0
    data: Frame = ""
    object: dict[str, Any] | None = None
    rx_info: Entries[_RxInfo] = []
    tx_info: _TxInfo = _TxInfo()
    join_server_context: dict[str, Any] | None = None

    def records(self) -> list[Record]:
        return decoded.records(self.object or {}, self.time)


class _Join(_Event):
    dev_addr: Told = ""

    def detail(self) -> _Detail:
        return {"dev_addr": self.dev_addr}


class _Status(_Event):
    margin: int = 0
    external_power_source: bool = False
    battery_level_unavailable: bool = False
    battery_level: Number | None = None

    def battery(self) -> tuple[float | None, str | None]:
        return health.battery(
            self.battery_level,
            external=self.external_power_source,
            unavailable=self.battery_level_unavailable,
        )

    def detail(self) -> _Detail:
        percent, reason = self.battery()
        return {"margin_db": self.margin, "battery_percent": percent, "battery_reason": reason}

    def records(self) -> list[Record]:
        return health.record(self.time, self.battery()[0], self.margin)


class _Ack(_Event):
    queue_item_id: Told = ""
    acknowledged: bool = False
    f_cnt_down: Counter = 0

    def detail(self) -> _Detail:
        return {
            "downlink_id": self.queue_item_id,
            "acknowledged": self.acknowledged,
            "f_cnt_down": self.f_cnt_down,
        }


class _TxAck(_Event):
    queue_item_id: Told = ""
    f_cnt_down: Counter = 0
    gateway_id: GatewayId = ""

    def detail(self) -> _Detail:
        return {
            "downlink_id": self.queue_item_id,
            "f_cnt_down": self.f_cnt_down,
            "gateway": self.gateway_id,
        }


class _Log(_Event):
    level: Told = ""
    code: Told = ""
    description: Told = ""
    context: dict[str, Any] = {}

    def detail(self) -> _Detail:
        said = {"level": self.level, "code": self.code, "description": self.description}
        first = islice(self.context.items(), 20)
        return {**said, "context": {told(name): told(text) for name, text in first}}


class _Position(_Event):
    location: _Location

    def detail(self) -> _Detail:
        where = self.location
        return {
            "lat": where.latitude,
            "lon": where.longitude,
            "altitude_m": where.altitude,
            "source": where.source or None,
            "accuracy_m": where.accuracy or None,
        }


class _Integration(_Event):
    integration_name: Told = ""
    event_type: Told = ""

    def detail(self) -> _Detail:
        return {"name": self.integration_name, "type": self.event_type}


_EVENTS: Final[Mapping[str, type[_Event]]] = {
    "up": _Up,
    "join": _Join,
    "status": _Status,
    "ack": _Ack,
    "txack": _TxAck,
    "log": _Log,
    "location": _Position,
    "integration": _Integration,
}


def parse(message: Message) -> Uplink:
    """An event as an uplink; the fields of `up` are dotted paths below `object`."""
    *_, kind, owner, _event, name = [*([""] * 4), *message.topic.split("/")]
    if kind == "gateway":
        raise Refused("unsupported_event", "a gateway's own events: its frames are encrypted")
    if name not in _EVENTS:
        raise Refused("unsupported_event", f"{name[:100]!r} events are not read")
    if name == "up" and (usual := chirpstack_up.read(message.payload, owner)):
        return usual
    event = read(_EVENTS[name], message.payload)
    require_same(owner, event.device_info.dev_eui)
    return _up(event) if isinstance(event, _Up) else _other(name, event, message)


def _up(up: _Up) -> Uplink:
    records = up.records()
    return Uplink(
        device=ByRadio(f"eui:{up.device_info.dev_eui}"),
        key=up.deduplication_id,
        observed_at=up.time,
        records=records,
        f_cnt=up.f_cnt,
        f_port=up.f_port,
        radio=_radio(up),
        gateways=[_heard(rx) for rx in up.rx_info if rx.gateway_id],
        undecoded=_undecoded(up),
        history=len(records) > 1 or "history" in up.device_info.tags,
    )


def _other(name: str, event: _Event, message: Message) -> Uplink:
    return Uplink(
        device=ByRadio(f"eui:{event.device_info.dev_eui}"),
        key=event.deduplication_id or content_key(message.payload),
        observed_at=event.time,
        records=event.records(),
        event=name,
        detail=event.detail(),
    )


def _radio(up: _Up) -> dict[str, Any]:
    lora = up.tx_info.modulation.lora
    return {
        "dr": up.dr,
        "frequency_hz": up.tx_info.frequency,
        **(
            {"spreading_factor": lora.spreading_factor, "bandwidth_hz": lora.bandwidth}
            if lora
            else {}
        ),
        "rssi_dbm": [rx.rssi for rx in up.rx_info],
        "snr_db": [rx.snr for rx in up.rx_info],
    }


def _heard(rx: _RxInfo) -> Heard:
    where = rx.location
    return Heard(rx.gateway_id, where.latitude, where.longitude) if where else Heard(rx.gateway_id)


def _undecoded(up: _Up) -> str | None:
    """Why a data frame has no object; a MAC-only frame (port 0 or no data) needs none."""
    if up.object is not None or not up.data or up.f_port == 0:
        return None
    if up.join_server_context is not None:
        return "the payload is end-to-end encrypted"
    return "no decoded object: set a codec in the ChirpStack device profile"


def topic_of(pushed: Pushed) -> str:
    """Its HTTP integration posts the same JSON, the event in `?event=`."""
    if (event := pushed.query.get("event")) is None:
        raise Refused("bad_topic", "?event= is missing: ChirpStack's HTTP integration adds it")
    application = pushed.text("deviceInfo", "applicationId")
    return f"application/{application}/device/{pushed.text('deviceInfo', 'devEui')}/event/{event}"


CHIRPSTACK = Adapter("chirpstack", parse, topic_of=topic_of)
