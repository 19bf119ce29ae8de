"""What `make bench-ingest` sends: ChirpStack uplinks of about 1 kB with three readings each.

As a program it publishes them from a process of its own: URL FIRST COUNT [PER_SECOND].
"""

import base64
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson

from shared.settings import Mqtt

DEVICES: Final = 1000
READINGS: Final = 3
FILTER: Final = "application/bench/device/+/event/+"
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
INTERVAL: Final = timedelta(minutes=1)  # each device, and so 1000 devices 0.06 s
FRAME: Final = struct.Struct(">hhh")  # cm, 0.1 Cel, mV
_WINDOW: Final = 5000
_FIELDS: Final = {
    "object.level": {"property": "water_level", "unit": "cm"},
    "object.temperature": {"property": "air_temperature", "unit": "Cel"},
    "object.battery": {"property": "battery_voltage", "unit": "V"},
}


def site() -> dict[str, object]:
    """A thousand radio devices of one profile behind one ChirpStack."""
    return {
        "site": {"key": "bench", "name": "Bench", "zone": "Asia/Jakarta", "lat": 0, "lon": 0}
        | {"stage": "foundation"},
        "sources": [{"key": "chirpstack", "adapter": "chirpstack", "filters": [FILTER]}],
        "profiles": [{"key": "gauge", "interval_s": 60, "fields": _FIELDS}],
        "devices": [
            {"key": f"d{i}", "id": f"eui:{eui(i)}", "profile": "gauge", "source": "chirpstack"}
            | {"origin": "simulated"}
            for i in range(DEVICES)
        ],
    }


def eui(device: int) -> str:
    return f"{0x24E124 << 40 | device:016x}"


def uplink(number: int, at: datetime | None = None) -> tuple[str, bytes]:
    """Topic and payload of the number-th uplink; without `at` on the grid of its device."""
    device, count = number % DEVICES, number // DEVICES
    time_ = at or START + count * INTERVAL + timedelta(milliseconds=device)
    level, temperature, battery = 100 + number % 400, 200 + number % 100, 3600
    body = {
        "deduplicationId": f"{number:08x}-4401-4b8d-9386-a5c902f9202d",
        "time": time_.isoformat(),
        "deviceInfo": {
            "tenantId": "52f14cd4-c6f1-4fbd-8f87-4025e1d49242",
            "tenantName": "City of Cibinong",
            "applicationId": "17c82e96-be03-4f38-aef3-f83d48582d97",
            "applicationName": "River and drain gauges",
            "deviceProfileId": "14855bf7-d10d-4aee-b618-ebfcb64dc7ad",
            "deviceProfileName": "Ultrasonic level sensor",
            "deviceName": f"gauge-{device}",
            "devEui": eui(device),
            "tags": {"place": "Ciliwung"},
        },
        "devAddr": "00189440",
        "adr": True,
        "dr": 1,
        "fCnt": count,
        "fPort": 1,
        "confirmed": False,
        "data": base64.b64encode(FRAME.pack(level, temperature, battery)).decode(),
        "object": {"level": level, "temperature": temperature / 10, "battery": battery / 1000},
        "rxInfo": [
            {
                "gatewayId": f"0016c001f153a1{number % 8:02x}",
                "uplinkId": 4217106255 + number,
                "rssi": -36 - number % 80,
                "snr": 10.5,
                "location": {"latitude": -6.48, "longitude": 106.85, "altitude": 120.0},
                "context": "E3OWOQ==",
                "metadata": {"region_name": "as923", "region_common_name": "AS923"},
                "crcStatus": "CRC_OK",
            }
        ],
        "txInfo": {
            "frequency": 923200000,
            "modulation": {
                "lora": {"bandwidth": 125000, "spreadingFactor": 11, "codeRate": "CR_4_5"}
            },
        },
    }
    return f"application/bench/device/{eui(device)}/event/up", orjson.dumps(body)


class Publisher:
    """MQTT 3.1.1 at QoS 1 with a window, by hand: what publishes shares the cores with the rest."""

    def __init__(self, url: str) -> None:
        place = Mqtt(url=url)
        self._socket = socket.create_connection((place.host, place.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sent = self._confirmed = 0
        self._room = threading.Condition()
        fields = ["bench-publisher", place.username or "", place.password or ""]
        body = b"\x00\x04MQTT\x04\xc2\x00\x00" + b"".join(map(_text, fields))
        self._socket.sendall(b"\x10" + _length(len(body)) + body)
        if self._socket.recv(4)[3:] != b"\x00":
            raise SystemExit("the broker refuses the publisher")
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, messages: list[tuple[str, bytes]]) -> None:
        """Publish some, waiting while more than a window is unconfirmed."""
        packets = []
        for topic, payload in messages:
            self._sent += 1
            body = _text(topic) + struct.pack(">H", self._sent % 65_535 + 1) + payload
            packets.append(b"\x32" + _length(len(body)) + body)
        with self._room:
            self._room.wait_for(lambda: self._sent - self._confirmed <= _WINDOW, 60)
        self._socket.sendall(b"".join(packets))

    def drain(self) -> None:
        """Wait until the broker has confirmed everything."""
        with self._room:
            if not self._room.wait_for(lambda: self._confirmed >= self._sent, 120):
                raise SystemExit(f"the broker confirmed {self._confirmed} of {self._sent}")

    def _read(self) -> None:
        left = b""
        while data := self._socket.recv(65_536):
            left += data
            whole = len(left) // 4  # nothing but PUBACKs of four bytes comes
            left = left[whole * 4 :]
            with self._room:
                self._confirmed += whole
                self._room.notify()


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


def _length(count: int) -> bytes:
    coded = bytearray()
    while True:
        count, low = divmod(count, 128)
        coded.append(low | 128 if count else low)
        if not count:
            return bytes(coded)


def _paced(first: int, count: int, per_second: float) -> Iterator[list[tuple[str, bytes]]]:
    """Ten groups a second, each stamped with the moment it is sent."""
    begun, sent = time.monotonic(), 0
    while sent < count:
        due = min(count, int((time.monotonic() - begun + 0.01) * per_second))
        yield [uplink(first + i, datetime.now(UTC)) for i in range(sent, due)]
        sent = due
        time.sleep(0.01)


def publish(url: str, first: int, count: int, per_second: float = 0) -> None:
    """Everything as fast as it goes, or at a rate; returns when the broker has confirmed it."""
    publisher = Publisher(url)
    if per_second:
        for group in _paced(first, count, per_second):
            publisher.send(group)
    else:
        for begin in range(first, first + count, 100):
            publisher.send([uplink(i) for i in range(begin, min(begin + 100, first + count))])
    publisher.drain()


if __name__ == "__main__":
    publish(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float((*sys.argv[4:], "0")[0]))
