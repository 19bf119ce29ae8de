"""Raw messages beside what was made of them: bytes, text, radio frame, values and refusals."""

import json
from base64 import b64decode
from binascii import Error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.resources.latest import Latest
from services.api.resources.rejects import Reject
from services.api.resources.uplinks import Uplink
from shared.db.tables import reading

SHOWN_BYTES: Final = 1024
SHOWN_TEXT: Final = 10_000  # characters: a message may be a megabyte
_ROW: Final = 16
# Where network servers put the radio frame's own payload: ChirpStack v4 and v3, The Things Stack.
_FRAME_PATHS: Final = (("data",), ("uplink_message", "frm_payload"))


@dataclass(frozen=True)
class Value:
    """One reading of the time of a message."""

    stream: Latest
    value: float
    quality: int


@dataclass(frozen=True)
class Frame:
    """One message with the values of its time and the refusals of its parts."""

    uplink: Uplink
    values: Sequence[Value]
    refused: Sequence[Reject]

    @property
    def raw(self) -> bytes:
        return bytes.fromhex(self.uplink.payload)

    @property
    def dump(self) -> str:
        """The bytes in rows of 16 with their offsets, at most SHOWN_BYTES of them."""
        return hex_rows(self.raw[:SHOWN_BYTES])

    @property
    def cut_short(self) -> bool:
        return self.uplink.bytes > SHOWN_BYTES

    @property
    def readable(self) -> str | None:
        """JSON set out in lines, other text as it is; None: bytes that are no text."""
        text = self.uplink.text
        if not text or len(text) > SHOWN_TEXT:
            return text and f"{text[:SHOWN_TEXT]} …"
        try:
            laid_out = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
        except (ValueError, RecursionError):
            return text
        # JSON may escape half a character, which no page can be written with.
        return laid_out.encode("utf-8", "backslashreplace").decode()

    @property
    def radio_frame(self) -> str | None:
        """The payload the device itself sent, as hex, where the network server passed it on."""
        try:
            said = json.loads(self.uplink.text or "null")
            for path in _FRAME_PATHS:
                found = said
                for step in path:
                    found = found.get(step) if isinstance(found, Mapping) else None
                if isinstance(found, str) and found:
                    return b64decode(found, validate=True).hex(" ")
        except (ValueError, RecursionError, Error):
            return None
        return None

    @property
    def radio(self) -> Mapping[str, Any]:
        return self.uplink.radio or {}

    @property
    def heard(self) -> Sequence[tuple[str, Any, Any]]:
        """(gateway, RSSI in dBm, SNR in dB) of each that heard it; None where it was not told."""
        gateways = self.uplink.gateways or []
        strengths = [_numbers(self.radio.get(key)) for key in ("rssi_dbm", "snr_db")]
        padded = [
            each if len(each) == len(gateways) else [None] * len(gateways) for each in strengths
        ]
        return list(zip(gateways, *padded, strict=True))


def hex_rows(raw: bytes) -> str:
    """Rows of 16 bytes, each after its offset."""
    return "\n".join(
        f"{start:04x}  {raw[start : start + _ROW].hex(' ')}" for start in range(0, len(raw), _ROW)
    )


async def frames(
    connection: AsyncConnection,
    uplinks: Sequence[Uplink],
    streams: Sequence[Latest],
    refused: Sequence[Reject],
) -> list[Frame]:
    """Each message with the readings its device has of the same time."""
    at = await _values(connection, streams, [each.observed_at for each in uplinks])
    by_uplink: dict[str | None, list[Reject]] = {}
    for each in refused:
        by_uplink.setdefault(each.uplink_id, []).append(each)
    return [
        Frame(each, at.get(each.observed_at, []), by_uplink.get(each.uplink_id, []))
        for each in uplinks
    ]


async def _values(
    connection: AsyncConnection, streams: Sequence[Latest], times: Sequence[datetime]
) -> dict[datetime, list[Value]]:
    # Derived series follow later: a message did not bring them.
    known = {each.datastream_id: each for each in streams if each.derived_by is None}
    rows = await connection.execute(
        select(reading)
        .where(reading.c.datastream_id.in_(known), reading.c.time.in_(times))
        .order_by(reading.c.datastream_id)
    )
    found: dict[datetime, list[Value]] = {}
    for row in rows:
        value = Value(known[row.datastream_id], row.value, row.quality)
        found.setdefault(row.time, []).append(value)
    return found


def _numbers(told: Any) -> list[Any]:
    return told if isinstance(told, list) else [told]
