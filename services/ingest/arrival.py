"""Uplinks and readings of a batch into their tables: straight, or by way of a stage.

COPY straight into the table takes half the database's time of stage and insert, but is refused as a
whole when a single key is there already. So a batch is tried straight as long as the one before it
held nothing known; where it does, it is staged and only what is new is inserted.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeVar

import psycopg

from services.ingest import binary, rejects
from services.ingest.pipeline import Prepared
from services.ingest.uplink import Uplink

Encoded = TypeVar("Encoded")
Cell = tuple[int, datetime]
_REMEMBERED_HOURS: Final = 50_000
_QUARTER_S: Final = 900  # every zone's hours begin at a quarter


@dataclass(slots=True)
class Memory:
    """What one connection's batches have taught: where keys were known, and how hours are cut."""

    collided: set[str] = field(default_factory=set)
    hours: dict[tuple[str, int], datetime] = field(default_factory=dict)

    def note(self, table: str, *, collided: bool) -> None:
        (self.collided.add if collided else self.collided.discard)(table)


def prepare_session(connection: psycopg.Connection) -> None:
    """Make the staging tables this connection copies into; they empty at each commit."""
    connection.execute(_STAGES)
    connection.commit()


def put_uplinks(cursor: psycopg.Cursor, batch: Sequence[Prepared], memory: Memory) -> set[int]:
    """Write what is new; returns its places in the batch, of equal keys the first.

    Raises psycopg.DataError for what no table can hold.
    """
    rows: list[tuple[bytes, int, bytes]] = []
    first: dict[tuple[bytes, datetime], int] = {}
    for order, prepared in enumerate(batch):
        if prepared.uplink and prepared.device:
            id_, row = _encoded(_uplink_row, prepared, prepared.uplink)
            first.setdefault((id_, prepared.uplink.observed_at), order)
            rows.append((id_, order, row))
    rows.sort()  # by id: writers that meet lock in one order
    if len(first) == len(rows) and _straight(
        *(cursor, memory, "uplink", _COPY_UPLINK),
        lambda: binary.rows([_PLAIN + row for _, _, row in rows]),
    ):
        return set(first.values())
    _copy(
        *(cursor, _STAGE_UPLINK),
        binary.rows([_STAGED + _ORD(4, order) + row for _, order, row in rows]),
    )
    new = {first[row[0].bytes, row[1]] for row in cursor.execute(_INSERT_UPLINK)}
    memory.note("uplink", collided=len(new) < len(rows))
    return new


def put_readings(
    cursor: psycopg.Cursor, batch: Sequence[Prepared], memory: Memory
) -> tuple[list[Cell], list[rejects.Conflict]]:
    """Write what is new; returns the (datastream, hour of its site's zone) cells touched, and the
    values that differ from what is stored by more than 1e-9: kept, never overwriting."""
    columns = _columns(batch)
    if not columns[0]:
        return [], []
    readings = _encoded(binary.Readings, columns)
    if readings.distinct and _straight(cursor, memory, "reading", _COPY_READING, readings.plain):
        return _cells(cursor, batch, memory), []
    _copy(cursor, _STAGE_READING, readings.staged())
    inserted = cursor.execute(_INSERT_READING).fetchall()
    cells = [(datastream_id, hour) for datastream_id, hour, _ in inserted]
    collided = sum(count for _, _, count in inserted) < len(columns[0])
    memory.note("reading", collided=collided)
    if not collided:
        return cells, []
    found = cursor.execute(_FIND_CONFLICTS).fetchall()
    return cells, [rejects.Conflict(batch[row[0]], *row[1:]) for row in found]


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


def _encoded(encode: Callable[..., Encoded], *what: object) -> Encoded:
    try:
        return encode(*what)
    except (struct.error, UnicodeEncodeError, OverflowError) as error:
        raise psycopg.DataError(f"cannot be written: {error}") from error


def _uplink_row(prepared: Prepared, uplink: Uplink) -> tuple[bytes, bytes]:
    """Id, and all fields but the `ord` of the stage."""
    message, device = prepared.message, prepared.device
    assert device
    id_ = prepared.id.bytes
    observed, received = binary.micros(uplink.observed_at), binary.micros(message.received_at)
    fields = (
        _FIXED(16, id_, 8, observed, 8, received, 4, prepared.source.id, 4, device.id),
        binary.text(message.topic),
        binary.blob(message.payload),
        binary.counters(uplink.f_cnt, uplink.f_port),
        binary.document(uplink.radio),
        binary.texts(tuple([heard.gateway_id for heard in uplink.gateways])),
        binary.text(uplink.event),
        binary.flag(uplink.history),
    )
    return id_, b"".join(fields)


def _columns(
    batch: Sequence[Prepared],
) -> tuple[list[int], list[int], list[int], list[float], list[int]]:
    """Place in the batch, time, datastream, value and quality of every reading."""
    columns: tuple[list[int], list[int], list[int], list[float], list[int]] = ([], [], [], [], [])
    orders, times, ids, values, qualities = columns
    last, at = None, 0
    for order, prepared in enumerate(batch):
        for time, datastream_id, value, quality in prepared.readings:
            if time is not last:  # those of one record share it
                last, at = time, binary.micros(time)
            orders.append(order)
            times.append(at)
            ids.append(datastream_id)
            values.append(value)
            qualities.append(quality)
    return columns


def _cells(cursor: psycopg.Cursor, batch: Sequence[Prepared], memory: Memory) -> list[Cell]:
    """Hours are cut by the database, each (zone, quarter of an hour) once."""
    found: set[tuple[int, str, int]] = set()
    last, quarter = None, 0
    for prepared in batch:
        zone = prepared.device.zone if prepared.device else ""
        for time, datastream_id, _, _ in prepared.readings:
            if time is not last:
                last, quarter = time, int(time.timestamp()) // _QUARTER_S
            found.add((datastream_id, zone, quarter))
    hours = memory.hours
    if unknown := list({(zone, quarter) for _, zone, quarter in found} - hours.keys()):
        if len(hours) > _REMEMBERED_HOURS:
            hours.clear()
            unknown = list({(zone, quarter) for _, zone, quarter in found})
        starts = [datetime.fromtimestamp(quarter * _QUARTER_S, UTC) for _, quarter in unknown]
        cursor.execute(_CUT, [starts, [zone for zone, _ in unknown]])
        hours.update(zip(unknown, (row[0] for row in cursor), strict=True))
    return sorted({(datastream_id, hours[zone, quarter]) for datastream_id, zone, quarter in found})


_FIXED: Final = struct.Struct(">i16siqiqiiii").pack
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
