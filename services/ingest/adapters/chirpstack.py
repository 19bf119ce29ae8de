"""ChirpStack v4 MQTT integration, JSON encoding.

Source: chirpstack/chirpstack-docs, src/chirpstack/integrations/{mqtt,events}.md. Members at their
default value may be missing (documentation samples, nested gateway messages): numbers are then 0.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from services.ingest.uplink import Adapter, ByRadio, Heard, Message, Record, Refused, Uplink

_DEEPEST = 8
_MOST_FIELDS = 500


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class _DeviceInfo(_Model):
    dev_eui: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{16}$")]


class _Location(_Model):
    latitude: Annotated[float, Field(ge=-90, le=90)] = 0.0
    longitude: Annotated[float, Field(ge=-180, le=180)] = 0.0


class _RxInfo(_Model):
    gateway_id: Annotated[str, Field(max_length=64, pattern=r"^[^\x00]*$")] = ""
    rssi: int = 0
    snr: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    location: _Location | None = None


class _TxInfo(_Model):
    frequency: int = 0


class _Up(_Model):
    deduplication_id: Annotated[str, Field(min_length=1, max_length=64)]
    time: AwareDatetime
    device_info: _DeviceInfo
    dr: int = 0
    f_cnt: Annotated[int, Field(ge=0, lt=2**32)] = 0
    f_port: Annotated[int, Field(ge=0, le=255)] = 0
    data: str = ""
    object: dict[str, Any] | None = None
    rx_info: list[_RxInfo] = []
    tx_info: _TxInfo = _TxInfo()
    join_server_context: dict[str, Any] | None = None


def parse(message: Message) -> Uplink:
    """An `up` event as an uplink whose fields are dotted paths below `object`."""
    *_, dev_eui, _event, event = [*([""] * 3), *message.topic.split("/")]
    if event != "up":
        raise Refused("unsupported_event", f"{event!r} events are not read yet")
    try:
        up = _Up.model_validate_json(message.payload)
    except ValidationError as error:
        raise Refused(*_reason(error)) from None
    if up.device_info.dev_eui.lower() != dev_eui.lower():
        raise Refused("bad_topic", f"topic names {dev_eui!r}, body {up.device_info.dev_eui!r}")
    return Uplink(
        device=ByRadio(f"eui:{up.device_info.dev_eui.lower()}"),
        key=up.deduplication_id,
        observed_at=up.time,
        records=[Record(up.time, _fields(up.object or {}))],
        f_cnt=up.f_cnt,
        f_port=up.f_port,
        radio={
            "dr": up.dr,
            "frequency_hz": up.tx_info.frequency,
            "rssi_dbm": [rx.rssi for rx in up.rx_info],
            "snr_db": [rx.snr for rx in up.rx_info],
        },
        gateways=[_heard(rx) for rx in up.rx_info if rx.gateway_id],
        undecoded=_undecoded(up),
    )


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


def _fields(decoded: dict[str, Any]) -> dict[str, object]:
    fields = dict(islice(_leaves("object", decoded, 0), _MOST_FIELDS + 1))
    if len(fields) > _MOST_FIELDS:
        raise Refused("bad_message", f"object: more than {_MOST_FIELDS} values")
    return fields


def _leaves(path: str, value: object, depth: int) -> Iterator[tuple[str, object]]:
    """Dotted path and value of every leaf; lists are counted from 0."""
    if depth > _DEEPEST:
        raise Refused("bad_message", f"{path[:200]}: nested deeper than {_DEEPEST}")
    if isinstance(value, dict):
        steps: Iterator[tuple[object, object]] = iter(value.items())
    elif isinstance(value, list):
        steps = iter(enumerate(value))
    else:
        yield path, value
        return
    for step, inner in steps:
        yield from _leaves(f"{path}.{step}", inner, depth + 1)


def _reason(error: ValidationError) -> tuple[str, str]:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return "bad_json", first["msg"]
    return "bad_message", f"{'.'.join(str(step) for step in first['loc'])}: {first['msg']}"


CHIRPSTACK = Adapter("chirpstack", parse)
