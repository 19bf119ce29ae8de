"""One batch, one transaction: raw uplinks, readings, rejects, feedback, ledger and the change."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import psycopg

from services.ingest import arrival, binary, device_event, feedback, frame_gaps, rejects
from services.ingest.pipeline import Prepared
from services.ingest.uplink import Heard
from shared.db import change


class Written(NamedTuple):
    """How many messages of a batch went where."""

    stored: int
    repeats: int
    rejected: int


def write(
    connection: psycopg.Connection, batch: Sequence[Prepared], memory: arrival.Memory
) -> Written:
    """Write a batch and commit. Raises psycopg.DataError or IntegrityError when data is refused,
    psycopg.OperationalError when the database is away; either way nothing of it is stored."""
    with connection.transaction(), connection.cursor() as cursor:
        new_uplinks = arrival.put_uplinks(cursor, batch, memory)
        device_event.insert(cursor, [batch[place] for place in sorted(new_uplinks)])
        cells, conflicts = arrival.put_readings(cursor, batch, memory)
        new_feedback = feedback.insert(cursor, batch)
        new_rejects, new_items = rejects.insert(cursor, batch, conflicts)
        _note_gateways(cursor, batch)
        outcomes = _outcomes(batch, new_uplinks, new_feedback | new_rejects)
        stored = [p for p, outcome in zip(batch, outcomes, strict=True) if outcome == "stored"]
        counts = _ledger_counts(batch, outcomes, new_items)
        counts.update((cell, -n) for cell, n in rejects.redeem(cursor, stored).items())
        counts.update(frame_gaps.count(cursor, stored))
        rejects.count(cursor, counts)
        if cells:
            ids, hours = zip(*cells, strict=True)
            spelled = {hour: f'"{hour.isoformat()}"' for hour in set(hours)}
            columns = ids, [spelled[hour] for hour in hours]
            cursor.execute(change.RECORD, [binary.array(column) for column in columns])
    kinds = [kind.partition(":")[0] for kind in outcomes]
    return Written(kinds.count("stored"), kinds.count("repeat"), kinds.count("rejected"))


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


def _outcomes(batch: Sequence[Prepared], new_uplinks: set[int], new_others: set[UUID]) -> list[str]:
    """stored, repeat or rejected:<reason> for each message; the first of a key is the new one."""
    unclaimed = set(new_others)
    outcomes = []
    for place, prepared in enumerate(batch):
        refused = prepared.refused
        if prepared.uplink:
            outcomes.append("stored" if place in new_uplinks else "repeat")
        elif prepared.id in unclaimed:
            unclaimed.discard(prepared.id)
            outcomes.append(f"rejected:{refused.reason}" if refused else "stored")
        else:
            outcomes.append("repeat")
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


_NOTE_GATEWAY: Final = """
    INSERT INTO gateway (source_id, gateway_id, lat, lon, last_seen) VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (source_id, gateway_id) DO UPDATE SET
        lat = coalesce(excluded.lat, gateway.lat),
        lon = coalesce(excluded.lon, gateway.lon),
        last_seen = greatest(excluded.last_seen, gateway.last_seen)
"""
