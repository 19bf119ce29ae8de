"""What a network server tells of a device beside its values: the newest of each kind are kept."""

from collections.abc import Sequence
from typing import Final

import psycopg
from psycopg.types.json import Jsonb

from services.ingest.pipeline import Prepared

MOST: Final = 100  # of each kind and device; the raw messages stay in `uplink` for its own while


def insert(cursor: psycopg.Cursor, stored: Sequence[Prepared]) -> None:
    """Write the events among newly stored uplinks, then drop what is beyond the newest."""
    rows = {
        p.id: (p.uuid, p.device.id, p.uplink.observed_at, p.uplink.event, Jsonb(p.uplink.detail))
        for p in stored
        if p.uplink and p.device and p.uplink.event != "up"
    }
    if not rows:
        return
    cursor.executemany(_INSERT, [rows[key] for key in sorted(rows)])
    cells = sorted({(row[1], row[3]) for row in rows.values()})
    devices, kinds = zip(*cells, strict=True)
    cursor.execute(_TRIM, {"devices": [*devices], "kinds": [*kinds], "most": MOST})


_INSERT: Final = """
    INSERT INTO device_event (event_id, device_id, at, kind, detail) VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT DO NOTHING
"""
_TRIM: Final = """
    DELETE FROM device_event USING (
        SELECT event_id FROM unnest(%(devices)s::int[], %(kinds)s::text[]) AS cell (device, kind)
        CROSS JOIN LATERAL (
            SELECT event_id FROM device_event
            WHERE device_id = cell.device AND device_event.kind = cell.kind
            ORDER BY at DESC, event_id OFFSET %(most)s
        ) AS old
    ) AS beyond
    WHERE device_event.event_id = beyond.event_id
"""
