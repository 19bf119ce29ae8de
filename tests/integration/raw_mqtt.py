"""MQTT 3.1.1 byte by byte: a publisher that may send what a client library refuses to."""

import socket
import struct
from typing import Final

from shared.settings import Mqtt

PATIENCE_S: Final = 30
_PUBACK: Final = 0x40


class RawPublisher:
    """Publishes one message at a time; connects anew when the broker has hung up."""

    def __init__(self, place: Mqtt) -> None:
        self._place, self._socket = place, self._connect(place)

    def accepted(self, topic: bytes, payload: bytes) -> bool:
        """Whether the broker acknowledged it; else it has closed the connection."""
        body = struct.pack(">H", len(topic)) + topic + struct.pack(">H", 1) + payload
        try:
            self._socket.sendall(_packet(0x32, body))
            answer = self._socket.recv(4)
        except ConnectionError:
            answer = b""
        if answer and answer[0] == _PUBACK:
            return True
        assert not answer, answer
        self._socket.close()
        self._socket = self._connect(self._place)
        return False

    def close(self) -> None:
        self._socket.close()

    @staticmethod
    def _connect(place: Mqtt) -> socket.socket:
        opened = socket.create_connection((place.host, place.port), PATIENCE_S)
        words = ("fuzz", place.username or "", place.password or "")
        texts = b"".join(struct.pack(">H", len(word)) + word.encode() for word in words)
        opened.sendall(_packet(0x10, b"\0\4MQTT\4\xc2\0\0" + texts))
        assert opened.recv(4) == b"\x20\2\0\0"
        return opened


def _packet(kind: int, body: bytes) -> bytes:
    length, digits = len(body), b""
    while True:
        length, digit = divmod(length, 128)
        digits += bytes([digit | (128 if length else 0)])
        if not length:
            return bytes([kind]) + digits + body
