"""The ChirpStack-v3-like JSON that servers inside gateways write, in the variants seen.

Sources: Milesight support article 73000600064 and its gateway guide of 2026; RAK WisGate, whose
messages say `timestamp` and `data_encode`. A member that is missing is unknown, not 0.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from services.ingest import decoded, health
from services.ingest.body import (
    Counter,
    Entries,
    Eui,
    GatewayId,
    Latitude,
    Longitude,
    Number,
    Port,
    Told,
    from_base64,
    from_epoch,
    from_hex,
    read,
)
from services.ingest.uplink import (
    ByRadio,
    Heard,
    Message,
    Record,
    Refused,
    Uplink,
    arrival_key,
    content_key,
)

_DECODERS: Final[dict[str, Callable[[str], bytes]]] = {"base64": from_base64, "hexstring": from_hex}


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class _Location(_Model):
    latitude: Latitude = 0.0
    longitude: Longitude = 0.0


class _RxInfo(_Model):
    mac: GatewayId = ""
    gateway_id: Annotated[GatewayId, Field(alias="gatewayID")] = ""
    rssi: Number | None = None
    snr: Annotated[Number | None, Field(alias="loRaSNR")] = None
    time: AwareDatetime | None = None
    latitude: Latitude = 0.0
    longitude: Longitude = 0.0
    location: _Location | None = None


class _DataRate(_Model):
    bandwidth: Annotated[Number, Field(ge=0, le=1e6)] | None = None  # kHz
    spread_factor: int | None = None


class _TxInfo(_Model):
    frequency: int | None = None
    dr: int | None = None
    data_rate: _DataRate = _DataRate()


class _Event(_Model):
    """What every message may carry; times in the order in which they are believed."""

    dev_eui: Annotated[Eui, Field(alias="devEUI")]
    time: AwareDatetime | None = None
    rx_info: Entries[_RxInfo] = []
    published_at: AwareDatetime | None = None
    timestamp: Number | None = None
    gateway_time: AwareDatetime | None = None

    def at(self) -> datetime | None:
        """The server's time, else the first gateway's, else when the message was made."""
        heard = min((rx.time for rx in self.rx_info if rx.time), default=None)
        told = self.time or heard or self.published_at or self.gateway_time
        if told or self.timestamp is None:
            return told
        try:
            return from_epoch(self.timestamp)
        except ValueError as error:
            raise Refused("bad_message", f"timestamp: {error}") from None


class _Up(_Event):
    f_cnt: Counter | None = None
    f_port: Port | None = None
    data: str | dict[str, Any] | None = None
    data_encode: Annotated[Literal["base64", "hexstring"] | None, Field(alias="data_encode")] = None
    object: dict[str, Any] | None = None
    tx_info: _TxInfo = _TxInfo()


class _Join(_Event):
    dev_addr: Told = ""


class _Ack(_Event):
    acknowledged: bool = False
    f_cnt: Counter | None = None


class _Status(_Event):
    margin: int | None = None
    battery: Annotated[int, Field(ge=0, le=255)] | None = None  # the octet of the device
    battery_level: Number | None = None
    external_power_source: bool = False
    battery_level_unavailable: bool = False


def up(message: Message, *, encoding: str = "base64") -> Uplink:
    """An uplink; `encoding` of the frame is the gateway's setting unless the message tells it."""
    body = read(_Up, message.payload)
    if body.data is None and body.object is None and body.f_cnt is None:
        raise Refused("bad_message", "no uplink: neither data, object nor fCnt")
    values = body.data if isinstance(body.data, dict) else body.object
    frame = body.data if isinstance(body.data, str) else ""
    _require_frame(frame, body.data_encode or encoding)
    told = body.at()
    time = told or message.received_at
    records = decoded.records(values or {}, time)
    return Uplink(
        device=ByRadio(f"eui:{body.dev_eui}"),
        # No id of its own: the counter and the frame, with the time they were heard.
        key=f"{body.dev_eui}:{body.f_cnt}:{frame}" if told else arrival_key(message),
        observed_at=time,
        records=records,
        keyed=told is not None,
        f_cnt=body.f_cnt,
        f_port=body.f_port,
        radio=_radio(body),
        gateways=[heard for rx in body.rx_info if (heard := _heard(rx)).gateway_id],
        undecoded=_undecoded(values, frame, body.f_port),
        history=len(records) > 1,
    )


def join(message: Message) -> Uplink:
    """A device that has joined."""
    body = read(_Join, message.payload)
    return _other("join", body, message, {"dev_addr": body.dev_addr})


def ack(message: Message) -> Uplink:
    """A confirmed downlink that the device has acknowledged, or has not."""
    body = read(_Ack, message.payload)
    told = {"downlink_id": None, "acknowledged": body.acknowledged, "f_cnt_down": body.f_cnt}
    return _other("ack", body, message, told)


def status(message: Message) -> Uplink:
    """Battery and link margin, by level or by the octet of the device."""
    body = read(_Status, message.payload)
    percent, reason = (
        health.battery_of_octet(body.battery)
        if body.battery is not None and body.battery_level is None
        else health.battery(
            body.battery_level,
            external=body.external_power_source,
            unavailable=body.battery_level_unavailable,
        )
    )
    told = {"margin_db": body.margin, "battery_percent": percent, "battery_reason": reason}
    time = body.at() or message.received_at
    return _other("status", body, message, told, health.record(time, percent, body.margin))


def _other(
    name: str,
    body: _Event,
    message: Message,
    told: dict[str, Any],
    records: list[Record] | None = None,
) -> Uplink:
    time = body.at()
    return Uplink(
        device=ByRadio(f"eui:{body.dev_eui}"),
        key=content_key(message.payload) if time else arrival_key(message),
        observed_at=time or message.received_at,
        records=records or [],
        keyed=time is not None,
        event=name,
        detail=told,
    )


def _require_frame(frame: str, encoding: str) -> None:
    try:
        _DECODERS[encoding](frame)
    except ValueError as error:
        raise Refused("bad_message", f"data: {error}") from None


def _radio(body: _Up) -> dict[str, Any]:
    rate = body.tx_info.data_rate
    return {
        "dr": body.tx_info.dr,
        "frequency_hz": body.tx_info.frequency,
        "spreading_factor": rate.spread_factor,
        "bandwidth_hz": round(rate.bandwidth * 1000) if rate.bandwidth else None,
        "rssi_dbm": [rx.rssi for rx in body.rx_info],
        "snr_db": [rx.snr for rx in body.rx_info],
    }


def _heard(rx: _RxInfo) -> Heard:
    """Latitude and longitude 0 is how these gateways say that they do not know their place."""
    where = rx.location or _Location(latitude=rx.latitude, longitude=rx.longitude)
    known = (where.latitude, where.longitude) != (0, 0)
    name = (rx.mac or rx.gateway_id).lower()
    return Heard(name, where.latitude, where.longitude) if known else Heard(name)


def _undecoded(values: object, frame: str, f_port: int | None) -> str | None:
    if values is not None or not frame or f_port == 0:
        return None
    return "no decoded object: set a payload codec on the gateway"
