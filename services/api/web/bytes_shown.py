"""Bytes for people: as text where they are text, else in rows of hex."""

from base64 import b64decode
from dataclasses import dataclass
from typing import Final

from services.api.web.frames import SHOWN_BYTES, SHOWN_TEXT, hex_rows


@dataclass(frozen=True)
class Shown:
    """text: None where the bytes are none; dump: their first rows."""

    text: str | None
    dump: str
    bytes: int
    cut_short: bool


_NONE: Final = Shown(None, "", 0, cut_short=False)


def shown(payload: str | None) -> Shown:
    """A payload in base64, as the API tells it."""
    if payload is None:
        return _NONE
    raw = b64decode(payload)
    try:
        text: str | None = raw.decode()
    except UnicodeDecodeError:
        text = None
    readable = text and (text if len(text) <= SHOWN_TEXT else f"{text[:SHOWN_TEXT]} …")
    return Shown(readable, hex_rows(raw[:SHOWN_BYTES]), len(raw), len(raw) > SHOWN_BYTES)
