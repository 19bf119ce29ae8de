"""Job `rollup`: recompute the cells of reading_hourly that a change touched."""

from collections.abc import Collection
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, text

from services.analytics import follow
from services.analytics.follow import Cell
from services.analytics.runner import Job, Progress, Slice

# Sorted aggregates: a floating-point sum must not depend on the order of arrival. The bounds on
# `time` of the whole slice let a hypertable leave out chunks when planning; the equality holds
# readings apart where a zone's offset changes by less than an hour: an hour's own begin may then
# lie in the hour before, so it is looked at as it was told, too.
_RECOMPUTE: Final = text("""
    WITH cell AS MATERIALIZED (
        SELECT DISTINCT datastream.id, told.hour, site.zone
        FROM unnest(CAST(:ids AS int[]), CAST(:hours AS timestamptz[])) AS touched(id, hour)
        JOIN datastream ON datastream.id = touched.id
        JOIN device ON device.id = datastream.device_id
        JOIN site ON site.id = device.site_id
        CROSS JOIN LATERAL (
            VALUES (touched.hour), (date_trunc('hour', touched.hour, site.zone))
        ) AS told(hour)
    ), fresh AS MATERIALIZED (
        SELECT cell.id, cell.hour, found.*
        FROM cell CROSS JOIN LATERAL (
            SELECT count(*) AS n,
                   count(*) FILTER (WHERE good) AS n_good,
                   sum(value ORDER BY time) FILTER (WHERE good) AS sum,
                   min(value) FILTER (WHERE good) AS min,
                   max(value) FILTER (WHERE good) AS max,
                   (array_agg(value ORDER BY time) FILTER (WHERE good))[1] AS first,
                   (array_agg(value ORDER BY time DESC) FILTER (WHERE good))[1] AS last
            FROM (
                SELECT time, value, quality <= 2 AS good
                FROM reading
                WHERE datastream_id = cell.id
                  AND time >= cell.hour AND time < cell.hour + interval '1 hour'
                  AND time >= :start AND time < :stop
                  AND date_trunc('hour', time, cell.zone) = cell.hour
            ) AS usable
        ) AS found
    ), emptied AS (
        DELETE FROM reading_hourly AS old USING fresh
        WHERE fresh.n = 0 AND old.datastream_id = fresh.id AND old.hour = fresh.hour
    )
    INSERT INTO reading_hourly AS old
        (datastream_id, hour, n, n_good, sum, min, max, first, last)
    SELECT id, hour, n, n_good, sum, min, max, first, last FROM fresh WHERE n > 0
    ON CONFLICT (datastream_id, hour) DO UPDATE SET
        n = excluded.n, n_good = excluded.n_good, sum = excluded.sum, min = excluded.min,
        max = excluded.max, first = excluded.first, last = excluded.last
    WHERE (old.n, old.n_good, old.sum, old.min, old.max, old.first, old.last)
        IS DISTINCT FROM (excluded.n, excluded.n_good, excluded.sum, excluded.min, excluded.max,
                          excluded.first, excluded.last)
""")


def recompute(connection: Connection, cells: Collection[Cell]) -> None:
    """Bring these cells to what `reading` says now; a cell without readings is removed.

    Hours may be any moment inside the cell. n counts all readings; n_good, sum (in time order),
    min, max, first and last only those of quality 1 or 2.
    """
    if not cells:
        return
    ids, hours = zip(*cells, strict=True)
    connection.execute(
        _RECOMPUTE,
        {
            "ids": list(ids),
            "hours": list(hours),
            # An hour earlier: a cell's hour may be given as any moment inside it.
            "start": min(hours) - timedelta(hours=1),
            "stop": max(hours) + timedelta(hours=1),
        },
    )


def work(connection: Connection, progress: Progress) -> Slice:
    """One slice of following `change`."""
    taken = follow.take(connection, follow.position(progress))
    recompute(connection, taken.cells)
    return Slice(dict(taken.position._asdict()), taken.more)


JOB: Final = Job("rollup", work)
