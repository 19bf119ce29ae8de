"""Messages, events and refusals of one device of the pages' test world."""

import json
from base64 import b64encode
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, insert, text

from shared.db import tables

EUI: Final = "24e124136b502217"
TOPIC: Final = f"application/17c8/device/{EUI}/event"


def settle(connection: Connection, now: datetime) -> None:
    """Uplinks of the 30 newest readings of ciliwung-up, its events, and what was refused of it."""
    rows = connection.execute(_NEWEST).all()
    owner = {"device_id": rows[0].device_id}
    whose = {**owner, "source_id": rows[0].source_id}
    connection.execute(
        insert(tables.uplink), [{**whose, **_uplink(i, row)} for i, row in enumerate(rows)]
    )
    connection.execute(
        insert(tables.device_event),
        [
            {**owner, "event_id": _uuid(100 + i), "at": now - ago, "kind": kind, "detail": detail}
            for i, (ago, kind, detail) in enumerate(EVENTS)
        ],
    )
    connection.execute(
        insert(tables.rejected),
        [
            {**whose, "reject_id": _uuid(200 + i), "received_at": now - ago, **refused}
            for i, (ago, refused) in enumerate(REFUSED)
        ],
    )


EVENTS: Final[list[tuple[timedelta, str, dict[str, Any]]]] = [
    (timedelta(hours=5), "status", {"margin_db": 12, "battery_percent": 78.5}),
    (timedelta(hours=30), "log", {"level": "ERROR", "code": "UPLINK_CODEC"}),
    (timedelta(days=12), "join", {"dev_addr": "00189440"}),
]
REFUSED: Final[list[tuple[timedelta, dict[str, Any]]]] = [
    (
        timedelta(minutes=2),
        {
            "scope": "item",
            "reason": "unmapped",
            "detail": "object.tilt: no such field in profile gauge",
            "topic": f"{TOPIC}/up",
            "payload": None,
            "uplink_id": str(UUID(int=1)),
        },
    ),
    (
        timedelta(hours=9),
        {
            "scope": "message",
            "reason": "bad_clock",
            "detail": "2031-01-01T00:00:00+00:00 is more than 10 minutes ahead",
            "topic": f"{TOPIC}/up",
            "payload": b'{"time": "2031-01-01T00:00:00Z"}',
            "uplink_id": None,
        },
    ),
]
_NEWEST: Final = text("""
    SELECT reading.time, reading.value, device.id AS device_id, device.source_id
    FROM reading JOIN datastream ON datastream.id = datastream_id
    JOIN device ON device.id = datastream.device_id
    WHERE device.key = 'ciliwung-up' ORDER BY reading.time DESC LIMIT 30
""")


def _uplink(number: int, row: Row[Any]) -> dict[str, Any]:
    """As ChirpStack tells it; the oldest is bytes that are no text."""
    frame = round(row.value * 1000).to_bytes(4, "little")
    body = {
        "deduplicationId": str(_uuid(number)),
        "time": row.time.isoformat(),
        "deviceInfo": {"devEui": EUI},
        "fCnt": 4000 - number,
        "fPort": 85,
        "data": b64encode(frame).decode(),
        "object": {"level": row.value, "tilt": 0.4},
    }
    return {
        "uplink_id": _uuid(number),
        "observed_at": row.time,
        "received_at": row.time + timedelta(seconds=1.4),
        "topic": f"{TOPIC}/up",
        "payload": json.dumps(body).encode() if number < 29 else bytes(range(250, 256)) * 300,
        "f_cnt": 4000 - number,
        "f_port": 85,
        "radio": {
            "dr": 2,
            "frequency_hz": 923_200_000,
            "spreading_factor": 10,
            "bandwidth_hz": 125_000,
            "rssi_dbm": [-97, -112],
            "snr_db": [6.5, -3.2],
        },
        "gateways": ["0016c001f153a14c", "0016c001f1500de2"],
    }


def _uuid(number: int) -> str:
    return str(UUID(int=number + 1))
