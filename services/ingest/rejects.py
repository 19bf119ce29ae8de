"""What could not be used: whole messages, parts of stored ones, and conflicting values."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import psycopg

from services.ingest import binary
from services.ingest.pipeline import Prepared
from services.ingest.uplink import identity

# (source, device, UTC hour, kind) → how many, as the ledger counts.
Counts = dict[tuple[int, int | None, datetime, str], int]


class Conflict(NamedTuple):
    """A second value for a datastream and time: both are kept, the first stays."""

    prepared: Prepared
    datastream_id: int
    time: datetime
    value: float
    stored: float


class Row(NamedTuple):
    """One row of `rejected`."""

    id: bytes
    prepared: Prepared
    scope: str
    reason: str
    detail: str


def insert(
    cursor: psycopg.Cursor, batch: Sequence[Prepared], conflicts: Sequence[Conflict]
) -> tuple[set[bytes], list[tuple[Prepared, str]]]:
    """Write rejects once each; returns the ids of newly refused messages, and the new items.

    Personal messages are no rows here: they stay in feedback_raw.
    """
    messages = [_message(p) for p in batch if p.refused and not p.kept_apart]
    items = [row for p in batch if p.uplink for row in _items(p)]
    items += [_conflict(conflict) for conflict in conflicts]
    unique = {row.id: row for row in reversed([*messages, *items])}
    if not unique:
        return set(), []
    rows = sorted(unique.values(), key=lambda row: row.id)
    columns = list(zip(*(_columns(row) for row in rows), strict=True))
    cursor.execute(_INSERT, [list(column) for column in columns])
    new = {row[0].bytes for row in cursor}
    return (
        {row.id for row in messages if row.id in new},
        [(row.prepared, row.reason) for row in rows if row.scope == "item" and row.id in new],
    )


def redeem(cursor: psycopg.Cursor, stored: Sequence[bytes]) -> Counts:
    """Take out rejects whose very bytes, here by their ids, have now been stored, and return what
    they counted as.

    A device registered late, a clock that has caught up: the key is stored, no longer rejected.
    """
    counts: Counts = {}
    if stored:
        cursor.execute(_REDEEM, [binary.ids(stored)])
        for source_id, device_id, hour, reason in cursor:
            cell = (source_id, device_id, hour, f"rejected:{reason}")
            counts[cell] = counts.get(cell, 0) + 1
    return counts


def count(cursor: psycopg.Cursor, counts: Counts) -> None:
    """Add to the ledger, cells in one order for everybody, so that nobody waits in a circle."""
    if not counts:
        return
    sources, devices, hours, kinds = zip(*counts, strict=True)
    cut = {hour: binary.micros(hour) for hour in set(hours)}
    columns = (
        binary.ints(sources),
        binary.ints([device or 0 for device in devices]),
        binary.moments([cut[hour] for hour in hours]),
        [*kinds],
        binary.longs([*counts.values()]),
    )
    cursor.execute(_COUNT, columns)


def _message(prepared: Prepared) -> Row:
    assert prepared.refused is not None
    return Row(prepared.id, prepared, "message", prepared.refused.reason, prepared.refused.detail)


def _items(prepared: Prepared) -> list[Row]:
    """A field nobody mapped is told once a device, any other fault once an uplink."""
    device = prepared.device.id if prepared.device else 0
    return [
        Row(
            identity(
                f"device:{device}" if item.reason == "unmapped" else f"uplink:{prepared.uuid}",
                f"{item.reason}:{item.about}",
            ),
            prepared,
            "item",
            item.reason,
            item.detail,
        )
        for item in prepared.items
    ]


def _conflict(conflict: Conflict) -> Row:
    place = f"datastream {conflict.datastream_id} at {conflict.time.isoformat()}"
    return Row(
        identity(f"conflict:{place}", repr(conflict.value)),
        conflict.prepared,
        "item",
        "conflict",
        f"{place}: arrived {conflict.value!r}, stored {conflict.stored!r}",
    )


def _columns(row: Row) -> tuple[object, ...]:
    message, device = row.prepared.message, row.prepared.device
    whole = row.scope == "message"
    return (
        UUID(bytes=row.id),
        message.received_at,
        row.prepared.source.id,
        device.id if device else None,
        row.scope,
        row.reason,
        _storable(row.detail)[:1000],
        _storable(message.topic),
        # An item's payload is in `uplink`; a citizen's without a site is kept nowhere.
        message.payload if whole and not row.prepared.personal else None,
        None if whole else row.prepared.uuid,
    )


def _storable(text: str) -> str:
    """PostgreSQL's text takes no NUL and no lone surrogate."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


_INSERT: Final = """
    INSERT INTO rejected (reject_id, received_at, source_id, device_id, scope, reason, detail,
                          topic, payload, uplink_id)
    SELECT * FROM unnest(%s::uuid[], %s::timestamptz[], %s::int[], %s::int[], %s::text[],
                         %s::text[], %s::text[], %s::text[], %s::bytea[], %s::uuid[])
    ON CONFLICT DO NOTHING
    RETURNING reject_id
"""
_REDEEM: Final = """
    DELETE FROM rejected WHERE reject_id = ANY(%s) AND scope = 'message'
    RETURNING source_id, device_id, date_trunc('hour', received_at, 'UTC'), reason
"""
_COUNT: Final = """
    INSERT INTO ledger (source_id, device_id, hour, kind, n)
    SELECT source_id, nullif(device_id, 0), hour, kind, n
    FROM unnest(%s, %s, %s, %s::text[], %s) AS told (source_id, device_id, hour, kind, n)
    ORDER BY told.source_id, told.device_id, hour, kind
    ON CONFLICT (source_id, device_id, hour, kind) DO UPDATE SET n = ledger.n + excluded.n
"""
