"""Reading the ledger: how many distinct message keys were stored, rejected or seen again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, text
from sqlalchemy.dialects.postgresql import TIMESTAMP

UNCOUNTED: Final = "only the publisher or the broker can count what was published"


@dataclass(frozen=True, slots=True)
class Totals:
    """Message keys over all sources and hours.

    stored and rejected are disjoint; repeats and rejected_items stand beside that sum, and
    unkeyed counts stored messages that carry nothing to recognise a repeat by, and frame_gaps the
    frame counters of devices that never arrived, whatever the cause.
    """

    stored: int
    rejected: int
    repeats: int
    rejected_items: int
    unkeyed: int
    frame_gaps: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One source, device and UTC hour of first receipt. None: no source covers the topic
    any more, no device was recognised."""

    source_id: int
    device_id: int | None
    hour: datetime
    site: str | None
    source: str | None
    device: str | None
    stored: int
    rejected: Mapping[str, int]
    repeats: int
    rejected_items: Mapping[str, int]
    unkeyed: int
    frame_gaps: int


# The place of a cell in the list: newest hour first, then source and device.
Place = tuple[datetime, int, int]

_MOMENT: Final = TIMESTAMP(timezone=True)
_SUMS: Final = """
    COALESCE(sum(n) FILTER (WHERE kind = 'stored'), 0)::bigint AS stored,
    COALESCE(sum(n) FILTER (WHERE kind = 'repeat'), 0)::bigint AS repeats,
    COALESCE(sum(n) FILTER (WHERE kind = 'unkeyed'), 0)::bigint AS unkeyed,
    COALESCE(sum(n) FILTER (WHERE kind = 'frame_gap'), 0)::bigint AS frame_gaps
"""
_TOTALS: Final = text(f"""
    SELECT {_SUMS},
           COALESCE(sum(n) FILTER (WHERE kind LIKE 'rejected:%'), 0)::bigint AS rejected,
           COALESCE(sum(n) FILTER (WHERE kind LIKE 'item:%'), 0)::bigint AS rejected_items
    FROM ledger
""")
_CELLS: Final = text(f"""
    SELECT ledger.source_id, ledger.device_id, hour, site.key AS site, source.key AS source,
           device.key AS device, {_SUMS},
           COALESCE(jsonb_object_agg(substr(kind, strpos(kind, ':') + 1), n)
                    FILTER (WHERE kind LIKE 'rejected:%'), '{{}}') AS rejected,
           COALESCE(jsonb_object_agg(substr(kind, strpos(kind, ':') + 1), n)
                    FILTER (WHERE kind LIKE 'item:%'), '{{}}') AS rejected_items
    FROM ledger
    LEFT JOIN source ON source.id = ledger.source_id
    LEFT JOIN site ON site.id = source.site_id
    LEFT JOIN device ON device.id = ledger.device_id
    WHERE n > 0
      AND (CAST(:site AS text) IS NULL OR site.key = :site)
      AND (CAST(:source AS text) IS NULL OR source.key = :source)
      AND (CAST(:device AS text) IS NULL OR device.key = :device)
      AND hour >= COALESCE(:start, '-infinity') AND hour < COALESCE(:end, 'infinity')
      AND (hour, ledger.source_id, COALESCE(device_id, 0))
          < (COALESCE(:hour, 'infinity'), :after_source, :after_device)
    GROUP BY ledger.source_id, device_id, hour, site.key, source.key, device.key
    ORDER BY hour DESC, ledger.source_id DESC, COALESCE(device_id, 0) DESC
    LIMIT :limit
""").bindparams(
    *(bindparam(name, type_=TIMESTAMP(timezone=True)) for name in ("start", "end", "hour"))
)


_SUMS_BY_DEVICE: Final = text(f"""
    WITH summed AS (
        SELECT source_id, device_id, kind, max(hour) AS hour, sum(n)::bigint AS n
        FROM ledger WHERE hour >= :start GROUP BY 1, 2, 3 HAVING sum(n) > 0
    )
    SELECT ledger.source_id, ledger.device_id, max(hour) AS hour, site.key AS site,
           source.key AS source, device.key AS device, {_SUMS},
           COALESCE(jsonb_object_agg(substr(kind, strpos(kind, ':') + 1), n)
                    FILTER (WHERE kind LIKE 'rejected:%'), '{{}}') AS rejected,
           COALESCE(jsonb_object_agg(substr(kind, strpos(kind, ':') + 1), n)
                    FILTER (WHERE kind LIKE 'item:%'), '{{}}') AS rejected_items
    FROM summed AS ledger
    LEFT JOIN source ON source.id = ledger.source_id
    LEFT JOIN site ON site.id = source.site_id
    LEFT JOIN device ON device.id = ledger.device_id
    GROUP BY ledger.source_id, device_id, site.key, source.key, device.key
    ORDER BY COALESCE(sum(n) FILTER (WHERE kind NOT IN ('stored', 'repeat', 'unkeyed')), 0) DESC,
             site.key, source.key, device.key
    LIMIT :limit
""").bindparams(bindparam("start", type_=_MOMENT))


def totals(connection: Connection) -> Totals:
    """Sums over the whole ledger."""
    return Totals(**connection.execute(_TOTALS).one()._mapping)


def cells(
    connection: Connection,
    *,
    site: str | None = None,
    source: str | None = None,
    device: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    after: Place | None = None,
    limit: int = 1000,
) -> list[Cell]:
    """Cells of hours in [start, end), newest first, following the place `after`."""
    hour, source_id, device_id = after or (None, 0, 0)
    rows = connection.execute(
        _CELLS,
        {
            "site": site,
            "source": source,
            "device": device,
            "start": start,
            "end": end,
            "hour": hour,
            "after_source": source_id,
            "after_device": device_id,
            "limit": limit,
        },
    )
    return [_cell(row) for row in rows]


def sums(connection: Connection, start: datetime, limit: int = 1000) -> list[Cell]:
    """Cells of hours from `start` summed up, one for each source and device: `hour` is the newest.
    Those with something amiss come first."""
    rows = connection.execute(_SUMS_BY_DEVICE, {"start": start, "limit": limit})
    return [_cell(row) for row in rows]


def place(cell: Cell) -> Place:
    """Where a cell stands in the list: pass it as `after` to go on behind it."""
    return cell.hour, cell.source_id, cell.device_id or 0


def _cell(row: Row[Any]) -> Cell:
    return Cell(**row._mapping)
