"""Uplinks and readings of a batch into their tables: straight, or by way of a stage.

COPY straight into the table takes half the database's time of stage and insert, but is refused as a
whole when a single key is there already. So a batch is tried straight as long as the one before it
held nothing known; where it does, it is staged and only what is new is inserted.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import psycopg

from services.ingest import binary, rejects
from services.ingest.block import Block
from services.ingest.frame_gaps import Frame

_REMEMBERED_HOURS: Final = 50_000
_QUARTER: Final = 900 * 10**6  # µs: today every zone's hours begin at one
_MOST: Final = 2**39  # quarters: more than any time has


class Cells(NamedTuple):
    """Datastreams and hours of their sites' zones, in microseconds since 2000, side by side."""

    ids: Any = ()
    hours: Any = ()


@dataclass(slots=True)
class Memory:
    """What one connection's batches have taught: where keys were known, how hours are cut, and the
    newest frame of each device."""

    collided: set[str] = field(default_factory=set)
    hours: dict[tuple[str, int], int] = field(default_factory=dict)
    frames: dict[int, Frame] = field(default_factory=dict)

    def note(self, table: str, *, collided: bool) -> None:
        (self.collided.add if collided else self.collided.discard)(table)


def prepare_session(connection: psycopg.Connection) -> None:
    """Make the staging tables this connection copies into; they empty at each commit."""
    connection.execute(_STAGES)
    connection.commit()


def put_uplinks(cursor: psycopg.Cursor, block: Block, memory: Memory) -> set[int]:
    """Write what is new; returns its places in the batch, of equal keys the first.

    Raises psycopg.DataError for what no table can hold.
    """
    rows, first = block.uplinks, block.first
    if len(first) == len(rows) and _straight(
        *(cursor, memory, "uplink", _COPY_UPLINK),
        lambda: binary.rows([part for _, _, row in rows for part in (_PLAIN, row)]),
    ):
        return set(first.values())
    _copy(
        *(cursor, _STAGE_UPLINK),
        binary.rows([p for _, place, row in rows for p in (_STAGED, _ORD(4, place), row)]),
    )
    new = {first[row[0].bytes, row[1]] for row in cursor.execute(_INSERT_UPLINK)}
    memory.note("uplink", collided=len(new) < len(rows))
    return new


def put_readings(
    cursor: psycopg.Cursor, block: Block, memory: Memory
) -> tuple[Cells, list[rejects.Conflict]]:
    """Write what is new; returns the cells touched, and the values that differ from what is stored
    by more than 1e-9: kept, never overwriting."""
    readings = block.readings
    if not readings:
        return Cells(), []
    if readings.distinct and _straight(cursor, memory, "reading", _COPY_READING, readings.plain):
        return _cells(cursor, block, memory), []
    _copy(cursor, _STAGE_READING, readings.staged())
    inserted = cursor.execute(_INSERT_READING).fetchall()
    cells = Cells([row[0] for row in inserted], [binary.micros(row[1]) for row in inserted])
    collided = sum(count for _, _, count in inserted) < len(readings)
    memory.note("reading", collided=collided)
    if not collided:
        return cells, []
    found = cursor.execute(_FIND_CONFLICTS).fetchall()
    return cells, [rejects.Conflict(block[row[0]], *row[1:]) for row in found]


def _straight(
    cursor: psycopg.Cursor, memory: Memory, table: str, copy: str, block: Callable[[], bytes]
) -> bool:
    """Whether everything was new and is in the table now; else nothing of it is."""
    if table in memory.collided:
        return False
    try:
        with cursor.connection.transaction():
            _copy(cursor, copy, block())
    except psycopg.errors.UniqueViolation:
        memory.note(table, collided=True)
        return False
    return True


def _copy(cursor: psycopg.Cursor, statement: str, block: bytes) -> None:
    with cursor.copy(statement) as copy:
        copy.write(block)


def _cells(cursor: psycopg.Cursor, block: Block, memory: Memory) -> Cells:
    """Hours are cut by the database, each (zone, quarter of an hour) once."""
    names, zones = block.zones
    ids, quarters = block.readings.column("id"), block.readings.column("time") // _QUARTER
    # One number for both sorts faster; before 2000 quarters are negative.
    spots = zones[block.readings.column("ord")] * 2 * _MOST + (quarters + _MOST)
    distinct, which = np.unique(spots, return_inverse=True)
    split = (divmod(spot, 2 * _MOST) for spot in distinct.tolist())
    asked = [(names[zone], quarter - _MOST) for zone, quarter in split]
    hours = np.array(_hours(cursor, asked, memory), np.int64)[which]
    fresh = np.ones(len(ids), bool)  # readings stand by datastream and time, and so do their hours
    fresh[1:] = (ids[1:] != ids[:-1]) | (hours[1:] != hours[:-1])
    return Cells(ids[fresh], hours[fresh])


def _hours(
    cursor: psycopg.Cursor, spots: Sequence[tuple[str, int]], memory: Memory
) -> Sequence[int]:
    """The begin of the hour around each quarter in each zone."""
    hours = memory.hours
    if len(hours) > _REMEMBERED_HOURS:
        hours.clear()
    if unknown := [spot for spot in spots if spot not in hours]:
        starts = [binary.moment(quarter * _QUARTER) for _, quarter in unknown]
        cursor.execute(_CUT, [starts, [zone for zone, _ in unknown]])
        hours.update(zip(unknown, (binary.micros(row[0]) for row in cursor), strict=True))
    return [hours[spot] for spot in spots]


_ORD: Final = struct.Struct(">ii").pack
_PLAIN: Final = (13).to_bytes(2, "big")  # fields of a row
_STAGED: Final = (14).to_bytes(2, "big")
_UPLINK_COLUMNS: Final = (
    "uplink_id, observed_at, received_at, source_id, device_id, topic, payload,"
    " f_cnt, f_port, radio, gateways, event, history"
)
_STAGES: Final = """
    CREATE TEMP TABLE stage_uplink (
        ord int, uplink_id uuid, observed_at timestamptz, received_at timestamptz, source_id int,
        device_id int, topic text, payload bytea, f_cnt bigint, f_port smallint, radio jsonb,
        gateways text[], event text, history boolean
    ) ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE stage_reading (
        ord int, time timestamptz, datastream_id int, value float8, quality smallint
    ) ON COMMIT DELETE ROWS;
"""
_COPY_UPLINK: Final = f"COPY uplink ({_UPLINK_COLUMNS}) FROM STDIN (FORMAT BINARY)"
_STAGE_UPLINK: Final = f"COPY stage_uplink (ord, {_UPLINK_COLUMNS}) FROM STDIN (FORMAT BINARY)"
_READING_COLUMNS: Final = "time, datastream_id, value, quality"
_COPY_READING: Final = f"COPY reading ({_READING_COLUMNS}) FROM STDIN (FORMAT BINARY)"
_STAGE_READING: Final = f"COPY stage_reading (ord, {_READING_COLUMNS}) FROM STDIN (FORMAT BINARY)"
_INSERT_UPLINK: Final = f"""
    INSERT INTO uplink ({_UPLINK_COLUMNS})
    SELECT DISTINCT ON (uplink_id, observed_at) {_UPLINK_COLUMNS}
    FROM stage_uplink ORDER BY uplink_id, observed_at, ord
    ON CONFLICT DO NOTHING
    RETURNING uplink_id, observed_at
"""
_INSERT_READING: Final = """
    WITH fresh AS (
        INSERT INTO reading (time, datastream_id, value, quality)
        SELECT DISTINCT ON (datastream_id, time) time, datastream_id, value, quality
        FROM stage_reading ORDER BY datastream_id, time, ord
        ON CONFLICT DO NOTHING
        RETURNING datastream_id, time
    )
    SELECT fresh.datastream_id, date_trunc('hour', fresh.time, site.zone), count(*)
    FROM fresh
    JOIN datastream ON datastream.id = fresh.datastream_id
    JOIN device ON device.id = datastream.device_id
    JOIN site ON site.id = device.site_id
    GROUP BY 1, 2
"""
# OFFSET 0 keeps the planner at one index look-up per staged row, however large `reading` grows.
_FIND_CONFLICTS: Final = """
    SELECT stage.ord, stage.datastream_id, stage.time, stage.value, stored.value
    FROM stage_reading AS stage
    CROSS JOIN LATERAL (
        SELECT value FROM reading
        WHERE reading.datastream_id = stage.datastream_id AND reading.time = stage.time
        OFFSET 0
    ) AS stored
    WHERE abs(stage.value - stored.value) > 1e-9 * greatest(abs(stage.value), abs(stored.value))
    ORDER BY stage.ord
"""
_CUT: Final = """
    SELECT date_trunc('hour', quarter, zone)
    FROM unnest(%s::timestamptz[], %s::text[]) WITH ORDINALITY AS wanted (quarter, zone, place)
    ORDER BY place
"""
