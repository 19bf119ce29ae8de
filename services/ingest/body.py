"""JSON bodies read by a model, and the kinds of value that network servers write alike."""

import binascii
from base64 import b64decode
from datetime import UTC, datetime
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, BaseModel, FailFast, Field, ValidationError

from services.ingest.uplink import Refused, brief

_MILLISECONDS_FROM: Final = 1e11  # as seconds that would be the year 5138
_MOST_TEXT: Final = 200
_MOST_ENTRIES: Final = 1000  # more gateways than hear one frame, and far less than fit a message
Body = TypeVar("Body", bound=BaseModel)
Entry = TypeVar("Entry")


def read(model: type[Body], payload: bytes) -> Body:
    """The body as `model`; raises Refused bad_json or bad_message with the place of the fault."""
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise Refused("bad_json", first["msg"]) from None
        place = ".".join(str(step) for step in first["loc"]) or "body"
        raise Refused("bad_message", f"{place}: {first['msg']}") from None


def require_same(topic: str, body: str) -> None:
    """Refuse a message whose topic names another device than its body: one of them is forged."""
    if topic.lower() != body.lower():
        raise Refused("bad_topic", f"topic names {topic[:100]!r}, body {body[:100]!r}")


def told(said: object) -> str:
    """Text as it is shown; of anything else what a reject would tell of it."""
    text = said if isinstance(said, str) else brief(said)
    return text[:_MOST_TEXT].replace("\0", "\\0")[:_MOST_TEXT]


def from_base64(text: str) -> bytes:
    """Standard or URL-safe base64, also without its padding; raises ValueError."""
    standard = text.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except binascii.Error:
        raise ValueError("is no base64") from None


def from_hex(text: str) -> bytes:
    """Hexadecimal digits; raises ValueError."""
    try:
        return binascii.unhexlify(text)
    except binascii.Error:
        raise ValueError("is no hexadecimal") from None


def from_epoch(count: float) -> datetime:
    """Seconds or milliseconds since 1970, told apart by their size; raises ValueError."""
    try:
        return datetime.fromtimestamp(count / 1000 if count >= _MILLISECONDS_FROM else count, UTC)
    except (OverflowError, OSError):
        raise ValueError(f"{count} is no time") from None


def _frame(text: str) -> str:
    from_base64(text)
    return text


def _eui(text: str) -> str:
    plain = text.translate({ord("-"): None, ord(":"): None}).lower()
    if len(plain) != 16 or set(plain) - set("0123456789abcdef"):
        raise ValueError("16 hexadecimal digits are needed")
    return plain


Eui = Annotated[str, Field(max_length=32), AfterValidator(_eui)]
Frame = Annotated[str, AfterValidator(_frame)]  # stays text: the bytes are in the raw message
# Text that PostgreSQL can keep; longer or stranger text is cut, for it is only shown.
Told = Annotated[str, AfterValidator(told)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Counter = Annotated[int, Field(ge=0, lt=2**32)]
Port = Annotated[int, Field(ge=0, le=255)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]
# Refused at its first fault: a megabyte of faulty entries would be as many errors at once.
Entries = Annotated[list[Entry], Field(max_length=_MOST_ENTRIES), FailFast()]
GatewayId = Annotated[str, Field(max_length=64, pattern=r"^[^\x00]*$")]
