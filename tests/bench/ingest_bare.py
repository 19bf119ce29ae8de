"""The least a Python process can do for the same messages: the yardstick of `make bench-ingest`.

paho → the needed fields by orjson → a frame of fixed layout → binary COPY of the raw message under
a unique id and of its readings → commit → PUBACK. No registry, no quality, no repeats, no ledger.
As a program: MQTT_URL DATABASE_URL COUNT; prints how many are committed, line by line.
"""

import base64
import struct
import sys
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import orjson
import paho.mqtt.client as paho
import psycopg
from paho.mqtt.enums import CallbackAPIVersion

from shared.settings import Mqtt
from tests.bench.ingest_messages import FILTER, FRAME

CLIENT_ID: Final = "bench-bare"
BATCH: Final = 1000
TABLES: Final = """
    DROP TABLE IF EXISTS bare_uplink, bare_reading;
    CREATE TABLE bare_uplink (id uuid UNIQUE, at timestamptz, topic text, payload bytea);
    CREATE TABLE bare_reading (LIKE reading);
    CREATE UNIQUE INDEX ON bare_reading (datastream_id, time);
"""
HEAD: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TAIL: Final = b"\xff\xff"
_UPLINK: Final = struct.Struct(">hi16siqi")
READING: Final = struct.Struct(">hiqiiidih")
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


class Bare:
    """One thread: what paho has read is decoded at once, and a full batch is written."""

    def __init__(self, mqtt_url: str, database_url: str) -> None:
        self.uplinks: list[bytes] = []
        self.readings: list[bytes] = []
        self.mids: list[int] = []
        self.connection = psycopg.connect(database_url)
        self.client = client(mqtt_url)
        self.client.on_message = self._on_message

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        body = orjson.loads(message.payload)
        passed = datetime.fromisoformat(body["time"]) - _EPOCH
        at = (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
        device = int(body["deviceInfo"]["devEui"], 16) % 1_000_000
        topic = message.topic.encode()
        fixed = _UPLINK.pack(4, 16, UUID(body["deduplicationId"]).bytes, 8, at, len(topic))
        size = len(message.payload).to_bytes(4, "big")
        self.uplinks.append(b"".join((fixed, topic, size, message.payload)))
        level, temperature, battery = FRAME.unpack(base64.b64decode(body["data"]))
        for i, value in enumerate((level / 100, temperature / 10, battery / 1000)):
            self.readings.append(READING.pack(4, 8, at, 4, device * 3 + i, 8, value, 2, 1))
        self.mids.append(message.mid)

    def write(self) -> int:
        """Commit, then acknowledge; returns how many."""
        for table, rows in (("bare_uplink", self.uplinks), ("bare_reading", self.readings)):
            with (
                self.connection.cursor() as cursor,
                cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy,
            ):
                copy.write(b"".join((HEAD, *rows, TAIL)))
            rows.clear()
        self.connection.commit()
        written = len(self.mids)
        for mid in self.mids:
            self.client.ack(mid, 1)
        self.mids.clear()
        return written

    def run(self, count: int) -> None:
        """Until so many are committed, and their acknowledgements sent."""
        done = 0
        while done < count:
            self.client.loop(0.02)
            if len(self.mids) >= BATCH or len(self.mids) == count - done:
                done += self.write()
                sys.stdout.write(f"{done}\n")
                sys.stdout.flush()
        self.client.loop(0.02)
        sys.stdin.read()  # until whoever started us has read our CPU time
        self.client.disconnect()


def client(mqtt_url: str, client_id: str = CLIENT_ID, *, clean: bool = False) -> paho.Client:
    """Connecting with a session that is kept, or that is ended by this."""
    place = Mqtt(url=mqtt_url)
    made = paho.Client(
        CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=clean, manual_ack=True
    )
    made.username_pw_set(place.username, place.password)
    made.connect(place.host, place.port)
    return made


def subscribe(mqtt_url: str) -> None:
    """Make the session, so that the broker keeps messages for it; then leave."""
    granted: list[object] = []
    made = client(mqtt_url)
    made.on_subscribe = lambda *_: granted.append(True)
    made.on_connect = lambda *_: made.subscribe(FILTER, 1)
    while not granted:
        made.loop(0.1)
    made.disconnect()


def forget(mqtt_url: str, client_id: str = CLIENT_ID) -> None:
    """End a session: the broker keeps no more messages for it."""
    connected: list[object] = []
    made = client(mqtt_url, client_id, clean=True)
    made.on_connect = lambda *_: connected.append(True)
    while not connected:
        made.loop(0.1)
    made.disconnect()


if __name__ == "__main__":
    Bare(sys.argv[1], sys.argv[2]).run(int(sys.argv[3]))
