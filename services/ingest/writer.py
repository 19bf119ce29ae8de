"""One batch, one transaction: raw uplinks, readings, rejects, feedback, ledger and the change."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import psycopg

from services.ingest import arrival, binary, device_event, feedback, frame_gaps, rejects
from services.ingest.block import Block, utc_hour
from services.ingest.pipeline import Prepared
from shared.db import change


class Written(NamedTuple):
    """How many messages of a batch went where."""

    stored: int
    repeats: int
    rejected: int


def write(connection: psycopg.Connection, block: Block, memory: arrival.Memory) -> Written:
    """Write a batch and commit. Raises psycopg.DataError or IntegrityError when data is refused,
    psycopg.OperationalError when the database is away; either way nothing of it is stored."""
    with connection.transaction(), connection.cursor() as cursor:
        new_uplinks = arrival.put_uplinks(cursor, block, memory)
        device_event.insert(cursor, [block[place] for place in sorted(new_uplinks)])
        cells, conflicts = arrival.put_readings(cursor, block, memory)
        new_feedback = feedback.insert(cursor, block)
        new_rejects, new_items = rejects.insert(cursor, block, conflicts)
        _note_gateways(cursor, block)
        outcomes = _outcomes(block, new_uplinks, new_feedback | new_rejects)
        stored = [place for place, outcome in enumerate(outcomes) if outcome == "stored"]
        counts = _ledger_counts(block, outcomes, new_items)
        redeemed = rejects.redeem(cursor, [block.refusals[place] for place in stored])
        for cell, n in redeemed.items():  # others may count there right now
            counts[cell] = counts.get(cell, 0) - n
        frames = [frame for place in stored if (frame := block.frames[place])]
        gaps, newest = frame_gaps.count(cursor, frames, memory.frames)
        rejects.count(cursor, counts | gaps)
        if len(cells.ids):
            told = binary.ints(cells.ids), binary.moments(cells.hours)
            cursor.execute(change.RECORD, told)
    memory.frames.update(newest)  # only now: before, it could have come to nothing
    kinds = [kind.partition(":")[0] for kind in outcomes]
    return Written(kinds.count("stored"), kinds.count("repeat"), kinds.count("rejected"))


def _note_gateways(cursor: psycopg.Cursor, block: Block) -> None:
    rows = [
        (source, gateway, heard.lat, heard.lon, at)
        for (source, gateway), (heard, at) in sorted(block.gateways.items(), key=lambda i: i[0])
    ]
    if rows:
        cursor.executemany(_NOTE_GATEWAY, rows)


def _outcomes(
    batch: Sequence[Prepared], new_uplinks: set[int], new_others: set[bytes]
) -> list[str]:
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
    block: Block, outcomes: Sequence[str], new_items: Sequence[tuple[Prepared, str]]
) -> rejects.Counts:
    counts: rejects.Counts = {}

    def add(prepared: Prepared, hour: datetime, kind: str) -> None:
        device = prepared.device.id if prepared.device else None
        cell = (prepared.source.id, device, hour, kind)
        counts[cell] = counts.get(cell, 0) + 1

    for prepared, hour, outcome in zip(block, block.hours, outcomes, strict=True):
        add(prepared, hour, outcome)
        if outcome == "stored" and prepared.uplink and not prepared.uplink.keyed:
            add(prepared, hour, "unkeyed")
    for prepared, reason in new_items:
        add(prepared, utc_hour(prepared.message.received_at), f"item:{reason}")
    return counts


_NOTE_GATEWAY: Final = """
    INSERT INTO gateway (source_id, gateway_id, lat, lon, last_seen) VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (source_id, gateway_id) DO UPDATE SET
        lat = coalesce(excluded.lat, gateway.lat),
        lon = coalesce(excluded.lon, gateway.lon),
        last_seen = greatest(excluded.last_seen, gateway.last_seen)
"""
