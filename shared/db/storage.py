"""What data takes on disk: each table, and one reading of each property.

An uncompressed reading has the same width whatever it measures: the bytes of the table or chunk it
is in, with indexes and free space, divided by its rows. Compressed readings differ: the bytes of a
chunk's columnstore, with indexes, are shared among datastreams by the size of their segments
(pg_column_size), and so among properties.
"""

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import Connection, text

from shared.db import timescale
from shared.db.tables import metadata


@dataclass(slots=True)
class Part:
    """Readings and the bytes they take."""

    readings: int = 0
    bytes: float = 0.0

    @property
    def each(self) -> float | None:
        """Bytes of one; None without any."""
        return self.bytes / self.readings if self.readings else None


@dataclass(frozen=True, slots=True)
class Stored:
    """How the readings of one property are kept."""

    property: str
    plain: Part
    compressed: Part


def tables(connection: Connection) -> dict[str, int]:
    """Bytes of each table with its indexes and chunks, largest first."""
    hyper = timescale.hypertable_bytes(connection)
    sizes = {
        table.name: hyper.get(table.name) or _bytes(connection, table.name)
        for table in metadata.sorted_tables
    }
    return dict(sorted(sizes.items(), key=lambda each: (-each[1], each[0])))


def readings(connection: Connection) -> list[Stored]:
    """Each property that has readings, in alphabetical order; reads every reading once."""
    plain: defaultdict[str, Part] = defaultdict(Part)
    compressed: defaultdict[str, Part] = defaultdict(Part)
    columnstores = timescale.columnstores(connection, "reading")
    for relation in timescale.parts(connection, "reading"):
        rows = dict(_rows(connection, relation))
        size = _bytes(connection, relation)
        store = columnstores.get(relation)
        if store:
            _share_compressed(connection, store, compressed, 0 if rows else size)
        for name, count in rows.items():
            plain[name].readings += count
            plain[name].bytes += size * count / sum(rows.values())
    return [Stored(name, plain[name], compressed[name]) for name in sorted({*plain, *compressed})]


def _share_compressed(
    connection: Connection, store: str, shares: defaultdict[str, Part], empty: int
) -> None:
    """Add a columnstore's rows and bytes; `empty` bytes are the chunk's own, now without rows."""
    segments = connection.execute(text(_SEGMENTS.format(store=store))).all()
    whole = sum(segment.bytes for segment in segments)
    size = _bytes(connection, store) + empty
    for segment in segments:
        shares[segment.property].readings += segment.rows
        shares[segment.property].bytes += size * float(segment.bytes / whole)


def _rows(connection: Connection, relation: str) -> list[tuple[str, int]]:
    """Uncompressed rows of a table or chunk by property: ONLY leaves out a chunk's columnstore."""
    return [(row.property, row.n) for row in connection.execute(text(_COUNT.format(of=relation)))]


def _bytes(connection: Connection, relation: str) -> int:
    size = text("SELECT pg_total_relation_size(CAST(:relation AS regclass))")
    return connection.scalar(size, {"relation": relation}) or 0


_COUNT = """
    SELECT property, sum(n)::bigint AS n
    FROM (SELECT datastream_id, count(*) AS n FROM ONLY {of} GROUP BY 1) AS counted
    JOIN datastream ON datastream.id = datastream_id GROUP BY 1
"""
_SEGMENTS = """
    SELECT property, sum(_ts_meta_count)::bigint AS rows, sum(pg_column_size(segment.*)) AS bytes
    FROM {store} AS segment JOIN datastream ON datastream.id = datastream_id GROUP BY 1
"""
