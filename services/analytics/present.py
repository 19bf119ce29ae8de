"""The present of a pilot: by which moment its windows close, limits pass and silence is judged."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

# One lookup in the index per datastream; max(time) over a join would read every reading.
_NEWEST: Final = text("""
    SELECT max(latest.time)
    FROM device JOIN datastream ON datastream.device_id = device.id
    CROSS JOIN LATERAL (
        SELECT time FROM reading WHERE datastream_id = datastream.id ORDER BY time DESC LIMIT 1
    ) AS latest
    WHERE device.pilot_id = :pilot_id AND datastream.derived_by IS NULL
""")


def present(connection: Connection, pilot_id: int, origin: str, clock: datetime) -> datetime | None:
    """`clock` for a measured pilot; for a recorded or simulated one the time (UTC) of its devices'
    newest reading of any quality, null without any."""
    if by_clock(origin):
        return clock
    newest: datetime | None = connection.scalar(_NEWEST, {"pilot_id": pilot_id})
    return newest


def by_clock(origin: str) -> bool:
    """Whether time passes for a pilot of this origin while nothing arrives."""
    return origin == "measured"
