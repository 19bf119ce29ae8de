"""The usual ChirpStack v4 uplink, read in a fifth of the time that its model takes.

Only what is as ChirpStack writes it is read here. Of anything else the model decides, which also
says what is wrong; both understand the same.
"""

import re
from binascii import a2b_base64
from datetime import datetime
from typing import Annotated, Any, Final

from msgspec import DecodeError, Meta, Struct
from msgspec.json import Decoder

from services.ingest import decoded
from services.ingest.uplink import ByRadio, Heard, Record, Uplink

_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII
).fullmatch
_EUI: Final = re.compile(r"[0-9a-f]{16}", re.ASCII).fullmatch


class _Part(Struct, rename="camel", frozen=True, gc=False):
    """Members that nobody reads are skipped."""


class _Location(_Part, frozen=True):
    latitude: Annotated[float, Meta(ge=-90, le=90)] = 0.0
    longitude: Annotated[float, Meta(ge=-180, le=180)] = 0.0
    altitude: float = 0.0
    source: str = ""
    accuracy: float = 0.0


class _RxInfo(_Part, frozen=True):
    gateway_id: Annotated[str, Meta(max_length=64)] = ""
    rssi: int = 0
    snr: float = 0.0
    location: _Location | None = None


class _Lora(_Part, frozen=True):
    spreading_factor: int = 0
    bandwidth: int = 0


class _Modulation(_Part, frozen=True):
    lora: _Lora | None = None


class _TxInfo(_Part, frozen=True):
    frequency: int = 0
    modulation: _Modulation = _Modulation()


class _DeviceInfo(_Part, frozen=True):
    dev_eui: str
    tags: dict[str, Any] = {}


class _Up(_Part, frozen=True):
    deduplication_id: Annotated[str, Meta(min_length=1, max_length=64)]
    time: str
    device_info: _DeviceInfo
    object: dict[str, Any]
    dr: int = 0
    f_cnt: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    f_port: Annotated[int, Meta(ge=0, le=255)] = 0
    data: str = ""
    rx_info: Annotated[tuple[_RxInfo, ...], Meta(max_length=1000)] = ()
    tx_info: _TxInfo = _TxInfo()
    join_server_context: dict[str, Any] | None = None


_decode: Final = Decoder(_Up).decode
_NESTED: Final = frozenset((dict, list))


def read(payload: bytes, owner: str) -> Uplink | None:
    """The uplink of the device that the topic names; None when it is anything but usual.

    Raises Refused for what is refused after the model has accepted it.
    """
    try:
        if not payload.isascii():
            payload.decode()  # members that are skipped are not looked into
        up = _decode(payload)
        a2b_base64(up.data, strict_mode=True)
        eui, told = up.device_info.dev_eui, up.time
        if eui != owner or not _EUI(eui) or not _TIME(told):
            return None
        return _uplink(up, datetime.fromisoformat(told))
    except (DecodeError, ValueError, RecursionError):
        return None


def _uplink(up: _Up, time: datetime) -> Uplink | None:
    gateways = [_heard(row) for row in up.rx_info if row.gateway_id]
    for heard in gateways:
        if "\0" in heard.gateway_id:
            return None
    records = _records(up.object, time)
    return Uplink(
        device=ByRadio("eui:" + up.device_info.dev_eui),
        key=up.deduplication_id,
        observed_at=time,
        records=records,
        f_cnt=up.f_cnt,
        f_port=up.f_port,
        radio=_radio(up),
        gateways=gateways,
        history=len(records) > 1 or "history" in up.device_info.tags,
    )


def _records(values: dict[str, Any], time: datetime) -> list[Record]:
    """Flat numbers and texts are the usual; lists and objects are walked as for every source."""
    if len(values) > 100 or not _NESTED.isdisjoint(map(type, values.values())):
        return decoded.records(values, time)
    return [Record(time, {f"{decoded.ROOT}.{name}": value for name, value in values.items()})]


def _radio(up: _Up) -> dict[str, Any]:
    lora = up.tx_info.modulation.lora
    radio: dict[str, Any] = {"dr": up.dr, "frequency_hz": up.tx_info.frequency}
    if lora:
        radio["spreading_factor"], radio["bandwidth_hz"] = lora.spreading_factor, lora.bandwidth
    radio["rssi_dbm"] = [row.rssi for row in up.rx_info]
    radio["snr_db"] = [row.snr for row in up.rx_info]
    return radio


def _heard(row: _RxInfo) -> Heard:
    where = row.location
    return (
        Heard(row.gateway_id, where.latitude, where.longitude) if where else Heard(row.gateway_id)
    )
