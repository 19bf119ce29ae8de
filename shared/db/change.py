"""The commit is the event: one `change` row a batch, followed in commit-safe order."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import psycopg
from sqlalchemy import Connection, text

CHANNEL: Final = "change"  # NOTIFY payload: the batch_id, nothing else
REGISTRY_CHANNEL: Final = "registry"  # sites, devices or profiles were applied


class Position(NamedTuple):
    """How far a follower has read: the last (xid, batch_id) it has dealt with."""

    xid: int = 0
    batch_id: int = 0


class Horizon(NamedTuple):
    """Transaction ids: of the oldest still running anywhere, and of the next to start."""

    oldest: int
    next: int


class Change(NamedTuple):
    """One committed batch: cells are (datastream_id, hour), hours truncated in the site's zone."""

    position: Position
    cells: list[tuple[int, datetime]]


RECORD: Final = """
    WITH written AS (
        INSERT INTO change (datastream_ids, hours) VALUES (%s, %s) RETURNING batch_id
    )
    SELECT pg_notify('change', batch_id::text) FROM written
"""

# Rows of transactions still running anywhere are held back: a watermark on time or on a serial
# would step over them and never look again.
_SINCE: Final = text("""
    SELECT xid::text::bigint AS xid, batch_id, datastream_ids, hours
    FROM change
    WHERE (xid, batch_id) > (CAST(CAST(:xid AS text) AS xid8), :batch_id)
      AND xid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY xid, batch_id
    LIMIT :limit
""")

_REBASE_POSITIONS: Final = text("""
    UPDATE job SET progress = progress || jsonb_build_object('xid', 1, 'batch_id', coalesce(
        (SELECT min(batch_id) - 1 FROM change
          WHERE (change.xid, batch_id)
              > ((progress ->> 'xid')::xid8, (progress ->> 'batch_id')::bigint)),
        (SELECT max(batch_id) FROM change),
        0))
    WHERE progress ? 'xid'
""")

_HORIZON: Final = """
    SELECT pg_snapshot_xmin(now)::text::bigint, pg_snapshot_xmax(now)::text::bigint
    FROM pg_current_snapshot() AS now
"""


def record(connection: Connection, cells: Sequence[tuple[int, datetime]]) -> None:
    """Write one change row and NOTIFY, inside the caller's transaction; no cells, no row."""
    if cells:
        ids, hours = [cell[0] for cell in cells], [cell[1] for cell in cells]
        connection.exec_driver_sql(RECORD, (ids, hours))


def since(connection: Connection, position: Position, limit: int = 500) -> list[Change]:
    """The next committed batches after `position`, in an order no later commit can disturb."""
    rows = connection.execute(_SINCE, {**position._asdict(), "limit": limit})
    return [
        Change(
            Position(row.xid, row.batch_id), list(zip(row.datastream_ids, row.hours, strict=True))
        )
        for row in rows
    ]


def rebase(connection: Connection) -> None:
    """Make changes and positions mean the same in another cluster, as after a restore.

    Transaction ids begin anew there: a position of the old cluster would be ahead of all that
    follows. Followers stand before the first change they have not passed; what they are told a
    second time changes nothing.
    """
    connection.execute(_REBASE_POSITIONS)
    connection.execute(
        text("UPDATE change SET xid = '1'")
    )  # older than any transaction of a cluster


def horizon(connection: psycopg.Connection) -> Horizon:
    """What `since` can see: changes older than `oldest`."""
    row = connection.execute(_HORIZON).fetchone()
    assert row is not None
    return Horizon(*row)
