"""Kerlink Wanesy and SPN: dataUp messages on a free topic, the frame in hexadecimal.

Source: Kerlink Wanesy wiki, push API migration guide. Their servers decode nothing.
"""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from services.ingest.body import (
    Counter,
    Entries,
    Eui,
    GatewayId,
    Number,
    Port,
    from_base64,
    from_epoch,
    from_hex,
    read,
)
from services.ingest.uplink import Adapter, ByRadio, Heard, Message, Record, Refused, Uplink

_RATE: Final = re.compile(r"SF(\d{1,2})BW(\d{1,4})")


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class _EndDevice(_Model):
    dev_eui: Eui


class _Gateway(_Model):
    gw_eui: GatewayId = ""
    rssi: Number | None = None
    snr: Number | None = None


class _DataUp(_Model):
    id: Annotated[str, Field(min_length=1, max_length=64)]
    end_device: _EndDevice
    f_port: Port | None = None
    f_cnt_up: Counter | None = None
    payload: str = ""
    encoding_type: Literal["HEXA", "BASE64"] = "HEXA"
    encrypted: bool = False
    recv_time: Number
    ul_frequency: Annotated[Number, Field(ge=0, le=1e6)] | None = None  # MHz
    data_rate: str = ""
    gw_info: Entries[_Gateway] = []


def parse(message: Message) -> Uplink:
    """A dataUp message; its frame is kept, and no values are in it until something decodes it."""
    up = read(_DataUp, message.payload)
    try:
        time = from_epoch(up.recv_time)
        frame = (from_hex if up.encoding_type == "HEXA" else from_base64)(up.payload)
    except ValueError as error:
        raise Refused("bad_message", f"recvTime or payload: {error}") from None
    return Uplink(
        device=ByRadio(f"eui:{up.end_device.dev_eui}"),
        key=up.id,
        observed_at=time,
        records=[Record(time, {})],
        f_cnt=up.f_cnt_up,
        f_port=up.f_port,
        radio=_radio(up),
        gateways=[Heard(each.gw_eui.lower()) for each in up.gw_info if each.gw_eui],
        undecoded=_undecoded(up, frame),
    )


def _radio(up: _DataUp) -> dict[str, Any]:
    rate = _RATE.fullmatch(up.data_rate)
    return {
        "frequency_hz": round(up.ul_frequency * 1e6) if up.ul_frequency else None,
        "spreading_factor": int(rate[1]) if rate else None,
        "bandwidth_hz": int(rate[2]) * 1000 if rate else None,
        "rssi_dbm": [each.rssi for each in up.gw_info],
        "snr_db": [each.snr for each in up.gw_info],
    }


def _undecoded(up: _DataUp, frame: bytes) -> str | None:
    if up.encrypted:
        return "the payload is end-to-end encrypted"
    return "no decoded object: a Kerlink server sends bytes only" if frame and up.f_port else None


KERLINK = Adapter("kerlink", parse)
