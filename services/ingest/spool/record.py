"""One message as bytes: what is written can be told from what was torn, flipped or forged."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final

from services.ingest.uplink import Message

SALT_BYTES: Final = 8
_MARK: Final = b"\xf1lr\n"
_HEAD: Final = struct.Struct("<4sqII")  # mark, received_at in µs, bytes of topic, of payload
_CHECK: Final = 8
_BEGIN: Final = _HEAD.size + _CHECK  # a head has a check of its own: its lengths can be trusted
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that are no record. torn: the file ends within one, as a crash while writing leaves it;
    what was never whole was never acknowledged."""

    offset: int
    size: int
    torn: bool = False


def encode(message: Message, salt: bytes) -> bytes:
    """A record. The checksums are keyed by the segment's salt: a payload that holds a record of its
    own, written by whoever sent it, passes for none when damage makes us look for the next one."""
    topic = message.topic.encode("utf-8", "surrogatepass")
    received = (message.received_at - _EPOCH) // _MICROSECOND
    head = _HEAD.pack(_MARK, received, len(topic), len(message.payload))
    parts = (head, _check(salt, head), topic, message.payload)
    return b"".join((*parts, _check(salt, *parts)))


def scan(data: bytes, salt: bytes) -> Iterator[Message | Damage]:
    """Every whole record in order, and what lies between them."""
    offset = 0
    while offset < len(data):
        end = _end(data, offset, salt)
        if end is None:  # no head: go on at the next one, wherever it is
            end = _resumed(data, offset, salt)
            torn = end == len(data) and end - offset < _BEGIN
            yield Damage(offset, end - offset, torn)
        elif end > len(data):
            end = len(data)
            yield Damage(offset, end - offset, torn=True)
        elif _check(salt, data[offset : end - _CHECK]) != data[end - _CHECK : end]:
            yield Damage(offset, end - offset)
        else:
            yield _message(data, offset, end)
        offset = end


def _check(salt: bytes, *parts: bytes) -> bytes:
    digest = blake2b(digest_size=_CHECK, key=salt)
    for part in parts:
        digest.update(part)
    return digest.digest()


def _end(data: bytes, offset: int, salt: bytes) -> int | None:
    """Where the record that begins here ends, by its head; None: no head."""
    head = data[offset : offset + _HEAD.size]
    if data[offset + _HEAD.size : offset + _BEGIN] != _check(salt, head):
        return None
    _, _, topic, payload = _HEAD.unpack(head)
    return offset + _BEGIN + int(topic) + int(payload) + _CHECK


def _resumed(data: bytes, offset: int, salt: bytes) -> int:
    """Where the next head begins, or the end of the data."""
    while (offset := data.find(_MARK, offset + 1)) >= 0:
        if _end(data, offset, salt) is not None:
            return offset
    return len(data)


def _message(data: bytes, offset: int, end: int) -> Message:
    _, received, topic, _ = _HEAD.unpack_from(data, offset)
    begin = offset + _BEGIN
    return Message(
        data[begin : begin + topic].decode("utf-8", "surrogatepass"),
        data[begin + topic : end - _CHECK],
        _EPOCH + received * _MICROSECOND,
    )
