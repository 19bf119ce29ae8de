"""The usual ChirpStack v4 uplink, read in a fifth of the time of its model.

Only what is exactly as ChirpStack writes it is read here; of anything else the model decides, which
also says what is wrong. Both must understand the same: tests/unit/test_chirpstack_up.py.
"""

import re
from binascii import Error, a2b_base64
from datetime import datetime
from math import isfinite
from typing import Any, Final

import orjson

from services.ingest import decoded
from services.ingest.uplink import ByRadio, Heard, Record, Uplink

_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII
).fullmatch
_EUI: Final = re.compile(r"[0-9a-f]{16}", re.ASCII).fullmatch
_NOTHING: Final[dict[str, Any]] = {}


def read(payload: bytes, owner: str) -> Uplink | None:
    """The uplink of the device that the topic names; None when it is anything but usual.

    Raises Refused for what is refused after the model has accepted it.
    """
    try:
        return _read(orjson.loads(payload), owner)
    except (KeyError, TypeError, ValueError, AttributeError, Error):
        return None


def _read(body: dict[str, Any], owner: str) -> Uplink | None:
    get = body.get
    key, told_time, info = body["deduplicationId"], body["time"], body["deviceInfo"]
    counter, port, data, values = get("fCnt", 0), get("fPort", 0), get("data", ""), get("object")
    eui, tags, rows = info["devEui"], info.get("tags", _NOTHING), get("rxInfo", ())
    if not (
        type(key) is str
        and 0 < len(key) <= 64
        and _TIME(told_time)
        and eui == owner
        and _EUI(eui)
        and type(tags) is type(values) is dict
        and type(counter) is type(port) is int
        and 0 <= counter < 2**32
        and 0 <= port <= 255
        and "joinServerContext" not in body
    ):
        return None
    a2b_base64(data, strict_mode=True)
    time = datetime.fromisoformat(told_time)
    radio = _radio(get("dr", 0), get("txInfo", _NOTHING), rows)
    gateways = [_heard(row) for row in rows]
    if radio is None or None in gateways:
        return None
    records = _records(values, time)
    return Uplink(
        device=ByRadio("eui:" + eui),
        key=key,
        observed_at=time,
        records=records,
        f_cnt=counter,
        f_port=port,
        radio=radio,
        gateways=[heard for heard in gateways if heard and heard.gateway_id],
        history=len(records) > 1 or "history" in tags,
    )


def _records(values: dict[str, Any], time: datetime) -> list[Record]:
    """Flat numbers and texts are the usual; lists and objects are walked as for every source."""
    if len(values) > 100 or any(type(value) in (dict, list) for value in values.values()):
        return decoded.records(values, time)
    return [Record(time, {f"{decoded.ROOT}.{name}": value for name, value in values.items()})]


def _radio(rate: object, sent: dict[str, Any], rows: list[Any]) -> dict[str, Any] | None:
    frequency = sent.get("frequency", 0)
    lora = sent.get("modulation", _NOTHING).get("lora")
    radio = {"dr": rate, "frequency_hz": frequency}
    whole = [rate, frequency]
    if lora is not None:
        radio["spreading_factor"] = lora.get("spreadingFactor", 0)
        radio["bandwidth_hz"] = lora.get("bandwidth", 0)
        whole += radio["spreading_factor"], radio["bandwidth_hz"]
    radio["rssi_dbm"] = strengths = [row.get("rssi", 0) for row in rows]
    radio["snr_db"] = ratios = [row.get("snr", 0.0) for row in rows]
    usual = _are(whole + strengths, (int,)) and _are(ratios, (int, float))
    return radio if usual and all(map(isfinite, ratios)) else None


def _heard(row: dict[str, Any]) -> Heard | None:
    name, where = row.get("gatewayId", ""), row.get("location")
    if type(name) is not str or len(name) > 64 or "\0" in name:
        return None
    if where is None:
        return Heard(name)
    lat, lon = where.get("latitude", 0.0), where.get("longitude", 0.0)
    rest = [where.get("altitude", 0.0), where.get("accuracy", 0.0)]
    if not (_are([lat, lon, *rest], (int, float)) and type(where.get("source", "")) is str):
        return None
    return Heard(name, lat, lon) if -90 <= lat <= 90 and -180 <= lon <= 180 else None


def _are(values: list[Any], kinds: tuple[type, ...]) -> bool:
    return all(type(value) in kinds for value in values)
