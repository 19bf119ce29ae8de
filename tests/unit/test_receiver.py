"""Blocks from the broker: the same messages wherever the stream is cut."""

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from services.ingest.receiver import MalformedStream, Published, Receiver

SUBACK = b"\x90\x03\x00\x07\x01"


def packet(message: Published, flags: int = 0) -> bytes:
    body = struct.pack(">H", len(message.topic)) + message.topic
    if message.mid:
        flags |= 2
        body += struct.pack(">H", message.mid)
    body += message.payload
    length, left = b"", len(body)
    while left > 127:
        length, left = length + bytes([left & 127 | 128]), left >> 7
    return bytes([0x30 | flags]) + length + bytes([left]) + body


def receiver() -> tuple[Receiver, list[Published], list[int]]:
    made = Receiver(CallbackAPIVersion.VERSION2, client_id="r", manual_ack=True)
    received: list[Published] = []
    granted: list[int] = []
    made.on_block = received.extend
    made.on_subscribe = lambda _client, _data, mid, _reasons, _props: granted.append(mid)
    return made, received, granted


MESSAGES = [
    Published(b"a/b", b"x", 1),
    Published("서울/up".encode(), b"", 65_535),
    Published(b"a/b", bytes(200), 0),
    Published(b"a/b", bytes(20_000), 2),
    Published(b"\xff", b"no text", 3),
]


@given(st.lists(st.integers(0, 20_500), max_size=6))
def test_a_stream_cut_anywhere_gives_the_same_messages(cuts: list[int]) -> None:
    flags = (8, 1, 0, 9, 0)  # redelivered, retained
    stream = b"".join(packet(m, flag) for m, flag in zip(MESSAGES, flags, strict=True))
    made, received, granted = receiver()
    places = [0, *sorted(cuts), len(stream)]
    for begin, end in itertools.pairwise(places):
        assert made._read_packets(made._left + stream[begin:end]) == MQTTErrorCode.MQTT_ERR_SUCCESS
    assert made._read_packets(made._left + SUBACK) == MQTTErrorCode.MQTT_ERR_SUCCESS
    assert received == MESSAGES
    assert granted == [7], "what is no message is paho's"


@pytest.mark.parametrize(
    "stream", [b"\x32\x02\x00\x09", b"\x32\x01\x00", b"\x32\x03\x00\x01a", b"\x32\xff\xff\xff\xff"]
)
def test_what_is_no_mqtt_ends_the_connection(stream: bytes) -> None:
    with pytest.raises(MalformedStream):
        receiver()[0]._read_packets(stream + bytes(9 if stream[1] < 128 else 0))


def test_many_acknowledgements_leave_together() -> None:
    made, _, _ = receiver()
    made.on_socket_register_write = lambda *_: None
    made.ack_all([1, 258])
    (out,) = made._out_packet
    assert out["packet"] == b"\x40\x02\x00\x01\x40\x02\x01\x02"
