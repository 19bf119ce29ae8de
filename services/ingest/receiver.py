"""paho's session, reading whole blocks: one system call and one lock for hundreds of messages.

paho reads a message in four small steps, each of which gives the interpreter away to the thread
that writes, and then waits for it. Connecting, subscribing, pings and MQTT 5 stay paho's own.
"""

import struct
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.exception import MalformedPacket
from paho.mqtt.packettypes import PacketTypes

_BLOCK: Final = 256 * 1024
_MOST_LENGTH_BYTES: Final = 4
_PUBLISH: Final = PacketTypes.PUBLISH << 4
_PUBACK: Final = PacketTypes.PUBACK << 4
_puback: Final = struct.Struct(">BBH").pack


class Published(NamedTuple):
    """A message at QoS 0 (mid is 0) or 1."""

    topic: bytes
    payload: bytes
    mid: int


class MalformedStream(Exception):
    """What comes is no MQTT."""


class Receiver(paho.Client):
    """Calls `on_block` with the messages of each block read, in their order, in paho's thread."""

    on_block: Callable[[list[Published]], None]
    _left: bytes = b""  # the beginning of a packet

    def ack_all(self, mids: Iterable[int]) -> None:
        """Acknowledge many QoS 1 messages in one packet's way."""
        packets = b"".join([_puback(_PUBACK, 2, mid) for mid in mids])
        if packets:
            self._packet_queue(_PUBACK, packets, 0, 1)

    def reconnect(self) -> MQTTErrorCode:
        self._left = b""
        return super().reconnect()

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:  # noqa: ARG002
        try:
            block = self._sock_recv(_BLOCK)
        except BlockingIOError:
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        except OSError:
            block = b""
        if not block:
            return self._loop_rc_handle(MQTTErrorCode.MQTT_ERR_CONN_LOST)
        with self._msgtime_mutex:
            self._last_bytes_received = paho.time_func()
        try:
            code = self._read_packets(self._left + block if self._left else block)
        except MalformedStream:
            code = MQTTErrorCode.MQTT_ERR_PROTOCOL
        return self._loop_rc_handle(code) if code > 0 else code

    def _read_packets(self, data: bytes) -> MQTTErrorCode:
        messages: list[Published] = []
        begin, code = 0, MQTTErrorCode.MQTT_ERR_SUCCESS
        while (place := _whole(data, begin)) and code <= 0:
            body, end = place
            kind = data[begin]
            if kind & 0xF4 == _PUBLISH and self._protocol == paho.MQTTv311:
                messages.append(_published(data, kind, body, end))
            else:
                self._give(messages)
                messages = []
                code = self._leave_to_paho(kind, data[body:end])
            begin = end
        self._left = data[begin:]
        self._give(messages)
        return code

    def _give(self, messages: list[Published]) -> None:
        if messages:
            self.on_block(messages)

    def _leave_to_paho(self, kind: int, packet: bytes) -> MQTTErrorCode:
        self._in_packet["command"] = kind
        self._in_packet["packet"] = bytearray(packet)
        self._in_packet["remaining_length"] = len(packet)
        self._in_packet["pos"] = 0
        try:
            return self._packet_handle()
        except (MalformedPacket, struct.error):
            return MQTTErrorCode.MQTT_ERR_PROTOCOL


def _whole(data: bytes, begin: int) -> tuple[int, int] | None:
    """Where the body of the packet at `begin` starts and ends; None while it is not all there."""
    length = shift = 0
    for place in range(begin + 1, len(data)):
        length |= (data[place] & 127) << shift
        if data[place] < 128:
            end = place + 1 + length
            return (place + 1, end) if end <= len(data) else None
        shift += 7
        if shift == 7 * _MOST_LENGTH_BYTES:
            raise MalformedStream
    return None


def _published(data: bytes, kind: int, body: int, end: int) -> Published:
    topic_end = body + 2 + (data[body] << 8 | data[body + 1]) if body + 2 <= end else end + 1
    payload = topic_end + 2 if kind & 2 else topic_end
    if payload > end:
        raise MalformedStream
    mid = data[topic_end] << 8 | data[topic_end + 1] if kind & 2 else 0
    return Published(data[body + 2 : topic_end], data[payload:end], mid)
