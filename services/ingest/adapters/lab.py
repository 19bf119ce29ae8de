"""The platform's own messages: plain objects and SenML readings, and citizen feedback.

`livinglab/{site}/{device}/up` and `livinglab/{site}/feedback`; README, "Messages".
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from services.ingest.pushed import Pushed
from services.ingest.senml import SenmlError, resolve
from services.ingest.uplink import (
    Adapter,
    ByTopic,
    Feedback,
    Message,
    Record,
    Refused,
    Uplink,
    arrival_key,
    brief,
    content_key,
)

_MOST_FIELDS: Final = 500
_MOST_RECORDS: Final = 5000


class _Feedback(BaseModel):
    id: Annotated[str, Field(min_length=1, max_length=200)]
    time: AwareDatetime
    service_code: Annotated[str, Field(min_length=1, max_length=100)]
    description: Annotated[str, Field(max_length=4000)]
    lat: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)] | None = None
    long: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)] | None = None
    rating: Annotated[int, Field(ge=1, le=5)] | None = None
    lang: Annotated[str, Field(max_length=35)] | None = None
    origin: Literal["measured", "recorded", "simulated"] = "measured"


def parse(message: Message) -> Uplink | Feedback:
    """A device's readings, or a citizen's feedback, by topic."""
    match message.topic.split("/"):
        case ["livinglab", site, "feedback"]:
            return _feedback(site, message)
        case ["livinglab", site, device, "up"]:
            return _up(ByTopic(site, device), message)
    raise Refused("bad_topic", "expected livinglab/{site}/{device}/up or livinglab/{site}/feedback")


def is_personal(topic: str) -> bool:
    """Whether a message may hold personal text, whatever its bytes look like."""
    return topic.rstrip("/").lower().endswith("/feedback")


def _up(device: ByTopic, message: Message) -> Uplink:
    try:
        body = orjson.loads(message.payload)
    except orjson.JSONDecodeError as error:
        raise Refused("bad_json", str(error)) from None
    if isinstance(body, list):
        return _senml(device, body, message)
    if isinstance(body, dict):
        return _plain(device, body, message)
    raise Refused("bad_message", "expected an object with `values`, or a SenML array")


def _plain(device: ByTopic, body: dict[str, Any], message: Message) -> Uplink:
    values = body.get("values")
    if not isinstance(values, dict) or len(values) > _MOST_FIELDS:
        raise Refused("bad_message", f"values: an object of at most {_MOST_FIELDS} is needed")
    if not isinstance(body.get("history", False), bool):
        raise Refused("bad_message", "history: true or false is needed")
    time = _time(body["time"]) if body.get("time") is not None else None
    return Uplink(
        device=device,
        key=_key(body, time, message) if time else arrival_key(message),
        observed_at=time or message.received_at,
        records=[Record(time or message.received_at, values)],
        keyed=time is not None,
        history=body.get("history", False),
    )


def _key(body: dict[str, Any], time: datetime, message: Message) -> str:
    for name in ("id", "seq"):
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise Refused("bad_message", f"{name}: a text or whole number is needed")
        return f"id:{value}" if name == "id" else f"seq:{value}:{time.isoformat()}"
    return content_key(message.payload)


def _time(value: object) -> datetime:
    """RFC 3339, also with its t and z in lower case, or epoch milliseconds."""
    try:
        if isinstance(value, str):
            time = datetime.fromisoformat(value.upper())
            if time.tzinfo is None:
                raise Refused(
                    "bad_message", f"time: {brief(value, 60)} has no offset such as Z or +07:00"
                )
            return time.astimezone(UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise Refused("bad_message", f"time: {brief(value, 60)} is neither RFC 3339 nor epoch ms")


def _senml(device: ByTopic, body: list[Any], message: Message) -> Uplink:
    if not 0 < len(body) <= _MOST_RECORDS:
        raise Refused("bad_message", f"SenML: between 1 and {_MOST_RECORDS} records are needed")
    try:
        resolved = resolve(body, base_name=device.device, now=message.received_at)
    except SenmlError as error:
        raise Refused("bad_message", f"SenML: {error}") from None
    times: dict[datetime, tuple[dict[str, object], dict[str, str]]] = {}
    for item in resolved:
        fields, units = times.setdefault(item.time, ({}, {}))
        if item.name in fields:
            raise Refused("bad_message", f"SenML: {item.name[:60]!r} stands twice at {item.time}")
        fields[item.name] = item.value
        if item.unit:
            units[item.name] = item.unit
    keyed = all(item.absolute for item in resolved)
    return Uplink(
        device=device,
        key=content_key(message.payload) if keyed else arrival_key(message),
        observed_at=max(times),
        records=[Record(time, fields, units) for time, (fields, units) in sorted(times.items())],
        keyed=keyed,
        history=len(times) > 1,
    )


def _feedback(site: str, message: Message) -> Feedback:
    try:
        body = _Feedback.model_validate_json(message.payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        reason = "bad_json" if first["type"] == "json_invalid" else "bad_message"
        # The place only: the library's text may quote what the citizen wrote.
        raise Refused(reason, ".".join(str(step) for step in first["loc"])) from None
    return Feedback(
        site=site,
        key=body.id,
        time=body.time,
        service_code=body.service_code,
        description=body.description,
        lat=body.lat,
        lon=body.long,
        rating=body.rating,
        lang=body.lang,
        origin=body.origin,
    )


def topic_of(pushed: Pushed) -> str:
    """`?device=KEY`, or SenML's base name; `?event=feedback` for what a citizen wrote."""
    if pushed.query.get("event") == "feedback":
        return f"livinglab/{pushed.site}/feedback"
    device = pushed.query.get("device")
    if device is None:
        body = pushed.body()
        first = body[0] if isinstance(body, list) and body else None
        device = first.get("bn") if isinstance(first, dict) else None
    if not isinstance(device, str) or not device:
        raise Refused("bad_topic", "add ?device=KEY to the address, or ?event=feedback")
    return f"livinglab/{pushed.site}/{device}/up"


LAB = Adapter("lab", parse, is_personal, topic_of)
