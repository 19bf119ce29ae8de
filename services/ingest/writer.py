"""One batch, one transaction: raw uplinks, readings, rejects, feedback, ledger and the change."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from services.ingest import device_event, feedback, rejects
from services.ingest.pipeline import Prepared
from services.ingest.uplink import Heard, Uplink
from shared.db import change


class Written(NamedTuple):
    """How many messages of a batch went where."""

    stored: int
    repeats: int
    rejected: int


UplinkKey = tuple[UUID, datetime]


def prepare_session(connection: psycopg.Connection) -> None:
    """Make the staging tables this connection copies into; they empty at each commit."""
    connection.execute(_STAGES)
    connection.commit()


def write(connection: psycopg.Connection, batch: Sequence[Prepared]) -> Written:
    """Write a batch and commit. Raises psycopg.DataError or IntegrityError when data is refused,
    psycopg.OperationalError when the database is away; either way nothing of it is stored."""
    with connection.transaction(), connection.cursor() as cursor:
        _stage(cursor, batch)
        new_uplinks = _insert_uplinks(cursor)
        device_event.insert(cursor, [p for p in batch if _key(p) in new_uplinks])
        cells = _insert_readings(cursor)
        conflicts = _find_conflicts(cursor, batch)
        new_feedback = feedback.insert(cursor, batch)
        new_rejects, new_items = rejects.insert(cursor, batch, conflicts)
        _note_gateways(cursor, batch)
        outcomes = _outcomes(batch, new_uplinks, new_feedback | new_rejects)
        stored = [p for p, outcome in zip(batch, outcomes, strict=True) if outcome == "stored"]
        counts = _ledger_counts(batch, outcomes, new_items)
        for cell, n in rejects.redeem(cursor, stored).items():  # others may count there right now
            counts[cell] = counts.get(cell, 0) - n
        _count(cursor, counts)
        if cells:
            ids, hours = zip(*cells, strict=True)
            cursor.execute(change.RECORD, [list(ids), list(hours)])
    kinds = [kind.partition(":")[0] for kind in outcomes]
    return Written(kinds.count("stored"), kinds.count("repeat"), kinds.count("rejected"))


def _stage(cursor: psycopg.Cursor, batch: Sequence[Prepared]) -> None:
    uplinks = [(i, p, p.uplink) for i, p in enumerate(batch) if p.uplink and p.device]
    with cursor.copy(_COPY_UPLINK) as copy:
        copy.set_types(_UPLINK_TYPES)
        for order, prepared, uplink in uplinks:
            copy.write_row(_uplink_row(order, prepared, uplink))
    with cursor.copy(_COPY_READING) as copy:
        copy.set_types(_READING_TYPES)
        for order, prepared, _ in uplinks:
            for reading in prepared.readings:
                copy.write_row((order, *reading))


def _uplink_row(order: int, prepared: Prepared, uplink: Uplink) -> tuple[object, ...]:
    message = prepared.message
    return (
        order,
        prepared.id,
        uplink.observed_at,
        message.received_at,
        prepared.source.id,
        prepared.device.id if prepared.device else None,
        message.topic,
        message.payload,
        uplink.f_cnt,
        uplink.f_port,
        Jsonb(uplink.radio) if uplink.radio else None,
        [heard.gateway_id for heard in uplink.gateways] or None,
        uplink.event,
        uplink.history,
    )


def _key(prepared: Prepared) -> UplinkKey | None:
    return (prepared.id, prepared.uplink.observed_at) if prepared.uplink else None


def _insert_uplinks(cursor: psycopg.Cursor) -> set[UplinkKey]:
    cursor.execute(_INSERT_UPLINK)
    return {(row[0], row[1]) for row in cursor}


def _insert_readings(cursor: psycopg.Cursor) -> list[tuple[int, datetime]]:
    """Insert what is new; returns the (datastream, hour of its site's zone) cells touched."""
    cursor.execute(_INSERT_READING)
    return [(row[0], row[1]) for row in cursor]


def _find_conflicts(cursor: psycopg.Cursor, batch: Sequence[Prepared]) -> list[rejects.Conflict]:
    """Staged values that differ from the stored ones by more than 1e-9: kept, never overwriting."""
    cursor.execute(_FIND_CONFLICTS)
    return [rejects.Conflict(batch[row[0]], *row[1:]) for row in cursor]


def _note_gateways(cursor: psycopg.Cursor, batch: Sequence[Prepared]) -> None:
    seen: dict[tuple[int, str], tuple[Heard, datetime]] = {}
    for prepared in batch:
        for heard in prepared.uplink.gateways if prepared.uplink else ():
            seen[prepared.source.id, heard.gateway_id] = (heard, prepared.message.received_at)
    rows = [
        (source, gateway, heard.lat, heard.lon, at)
        for (source, gateway), (heard, at) in sorted(seen.items(), key=lambda item: item[0])
    ]
    if rows:
        cursor.executemany(_NOTE_GATEWAY, rows)


def _outcomes(
    batch: Sequence[Prepared], new_uplinks: set[UplinkKey], new_others: set[UUID]
) -> list[str]:
    """stored, repeat or rejected:<reason> for each message; the first of a key is the new one."""
    unclaimed: set[UplinkKey | UUID] = {*new_uplinks, *new_others}
    outcomes = []
    for prepared in batch:
        key = _key(prepared) or prepared.id
        refused = prepared.refused
        if key not in unclaimed:
            outcomes.append("repeat")
        else:
            outcomes.append(f"rejected:{refused.reason}" if refused else "stored")
        unclaimed.discard(key)
    return outcomes


def _ledger_counts(
    batch: Sequence[Prepared], outcomes: Sequence[str], new_items: Sequence[tuple[Prepared, str]]
) -> rejects.Counts:
    counts: rejects.Counts = {}

    def add(prepared: Prepared, kind: str) -> None:
        hour = prepared.message.received_at.replace(minute=0, second=0, microsecond=0)
        device = prepared.device.id if prepared.device else None
        cell = (prepared.source.id, device, hour, kind)
        counts[cell] = counts.get(cell, 0) + 1

    for prepared, outcome in zip(batch, outcomes, strict=True):
        add(prepared, outcome)
        if outcome == "stored" and prepared.uplink and not prepared.uplink.keyed:
            add(prepared, "unkeyed")
    for prepared, reason in new_items:
        add(prepared, f"item:{reason}")
    return counts


def _count(cursor: psycopg.Cursor, counts: rejects.Counts) -> None:
    cells = sorted(counts, key=lambda cell: (cell[0], cell[1] or 0, cell[2], cell[3]))
    columns = [[cell[i] for cell in cells] for i in range(4)]
    cursor.execute(_COUNT, [*columns, [counts[cell] for cell in cells]])


_UPLINK_COLUMNS: Final = (
    "uplink_id, observed_at, received_at, source_id, device_id, topic, payload,"
    " f_cnt, f_port, radio, gateways, event, history"
)
_UPLINK_TYPES: Final = (
    *("int4", "uuid", "timestamptz", "timestamptz", "int4", "int4", "text", "bytea"),
    *("int8", "int2", "jsonb", "text[]", "text", "bool"),
)
_READING_TYPES: Final = ("int4", "timestamptz", "int4", "float8", "int2")
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
_COPY_UPLINK: Final = f"COPY stage_uplink (ord, {_UPLINK_COLUMNS}) FROM STDIN (FORMAT BINARY)"
_COPY_READING: Final = (
    "COPY stage_reading (ord, time, datastream_id, value, quality) FROM STDIN (FORMAT BINARY)"
)
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
    SELECT DISTINCT fresh.datastream_id, date_trunc('hour', fresh.time, site.zone)
    FROM fresh
    JOIN datastream ON datastream.id = fresh.datastream_id
    JOIN device ON device.id = datastream.device_id
    JOIN site ON site.id = device.site_id
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
_NOTE_GATEWAY: Final = """
    INSERT INTO gateway (source_id, gateway_id, lat, lon, last_seen) VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (source_id, gateway_id) DO UPDATE SET
        lat = coalesce(excluded.lat, gateway.lat),
        lon = coalesce(excluded.lon, gateway.lon),
        last_seen = greatest(excluded.last_seen, gateway.last_seen)
"""
_COUNT: Final = """
    INSERT INTO ledger (source_id, device_id, hour, kind, n)
    SELECT * FROM unnest(%s::int[], %s::int[], %s::timestamptz[], %s::text[], %s::bigint[])
    ON CONFLICT (source_id, device_id, hour, kind) DO UPDATE SET n = ledger.n + excluded.n
"""
