"""The only place that asks which edition of PostgreSQL this is."""

from datetime import datetime
from typing import Final, Literal

from sqlalchemy import Connection, Table, text

from shared.db.tables import metadata

Edition = Literal["community", "apache", "plain"]
# A columnstore packs up to 1000 readings of a datastream within a chunk: 8 days are one pack of 768
# for a value each quarter of an hour. Measured: deploy/README.md, "What takes room".
CHUNK: Final = "8 days"
_LICENCE: Final = text("SELECT current_setting('timescaledb.license', true)")
_SET_CHUNK: Final = text("""
    SELECT set_chunk_time_interval(CAST(:name AS regclass), CAST(:chunk AS interval))
""")
_EXTENSION: Final = text("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")


def edition(connection: Connection) -> Edition:
    """TimescaleDB's edition in this database, or plain PostgreSQL."""
    if connection.scalar(_EXTENSION) is None:
        return "plain"
    return "community" if compresses(connection) else "apache"


def versions(connection: Connection) -> dict[str, str | None]:
    """Server, TimescaleDB version (null where absent) and edition."""
    return {
        "postgresql": connection.scalar(text("SHOW server_version")),
        "timescaledb": connection.scalar(_EXTENSION),
        "edition": edition(connection),
    }


def apply(connection: Connection) -> list[str]:
    """Turn marked tables into hypertables where TimescaleDB is loaded; returns those converted.

    Idempotent, run after every upgrade; on plain PostgreSQL it does nothing. On the community
    edition their chunks can be compressed afterwards.
    """
    if not _loaded(connection):
        return []
    connection.execute(text("CREATE EXTENSION IF NOT EXISTS timescaledb"))
    already = connection.scalars(
        text("SELECT hypertable_name FROM timescaledb_information.hypertables")
    ).all()
    todo = [table for table in _marked() if table.name not in already]
    for table in todo:
        connection.execute(
            text("""
                SELECT create_hypertable(
                    CAST(:name AS regclass), by_range(:column, CAST(:chunk AS interval)),
                    create_default_indexes => false, migrate_data => true)
            """),
            {"name": table.name, "column": table.info["hypertable"], "chunk": CHUNK},
        )
    for table in set(_marked()) - set(todo):  # of an earlier release: for chunks to come
        connection.execute(_SET_CHUNK, {"name": table.name, "chunk": CHUNK})
    if edition(connection) == "community":
        _make_compressible(connection)
    return [table.name for table in todo]


def chunks(connection: Connection, table: str, before: datetime) -> list[str]:
    """Chunks of a hypertable that end before a time, oldest first; none on plain PostgreSQL."""
    if edition(connection) == "plain":
        return []
    shown = text("SELECT show_chunks(CAST(:table AS regclass), older_than => :before)::text")
    return list(connection.scalars(shown, {"table": table, "before": before}))


def uncompressed(connection: Connection, table: str, before: datetime) -> list[str]:
    """Those of `chunks` with rows that could be compressed; none on other editions."""
    if edition(connection) != "community":
        return []
    return [name for name in chunks(connection, table, before) if _any_row(connection, name)]


def parts(connection: Connection, table: str) -> list[str]:
    """The relations that hold a table's rows: its chunks, or itself."""
    if edition(connection) == "plain":
        return [table]
    shown = text("SELECT show_chunks(CAST(:table AS regclass))::text")
    return list(connection.scalars(shown, {"table": table}))


def columnstores(connection: Connection, table: str) -> dict[str, str]:
    """Chunk → relation that holds its compressed rows."""
    if edition(connection) != "community":
        return {}
    found = connection.execute(
        text("""
            SELECT relid::text, compress_relid::regclass::text
            FROM _timescaledb_catalog.compression_settings
            JOIN show_chunks(CAST(:table AS regclass)) AS chunk ON chunk = relid
            WHERE compress_relid IS NOT NULL
        """),
        {"table": table},
    )
    return {chunk: store for chunk, store in found}


def hypertable_bytes(connection: Connection) -> dict[str, int]:
    """Bytes of each hypertable with its chunks, compressed or not, and their indexes."""
    if edition(connection) == "plain":
        return {}
    found = connection.execute(
        text("""
            SELECT hypertable_name,
                   hypertable_size(format('%I.%I', hypertable_schema, hypertable_name)::regclass)
            FROM timescaledb_information.hypertables
        """)
    )
    return {name: size for name, size in found}


def compress(connection: Connection, chunk: str) -> None:
    """Compress a chunk, or what came late into a compressed one; writers to it wait meanwhile."""
    connection.execute(
        text("CALL convert_to_columnstore(CAST(:chunk AS regclass))"), {"chunk": chunk}
    )


def before_rewriting(connection: Connection) -> str | None:
    """What a transaction says first that changes rows in compressed chunks; None: nothing."""
    if edition(connection) != "community":
        return None
    return "SET LOCAL timescaledb.max_tuples_decompressed_per_dml_transaction = 0"


def drop(connection: Connection, table: str, chunk: str) -> None:
    """Remove one chunk with all its rows."""
    connection.execute(
        text("""
            SELECT drop_chunks(CAST(:table AS regclass), older_than => range_end,
                               newer_than => range_start)
            FROM timescaledb_information.chunks
            WHERE format('%I.%I', chunk_schema, chunk_name) = :chunk
        """),
        {"table": table, "chunk": chunk},
    )


def compresses(connection: Connection) -> bool:
    """Whether this server may compress. Where the extension is not there to tell, it is tried."""
    told = connection.scalar(_LICENCE)
    if told is None and _loaded(connection):
        with connection.begin_nested() as trial:
            connection.execute(text("CREATE EXTENSION IF NOT EXISTS timescaledb"))
            told = connection.scalar(_LICENCE)
            trial.rollback()
    return bool(told == "timescale")


def installable(connection: Connection, version: str) -> bool:
    """Whether exactly this version of TimescaleDB is in this database, or can be."""
    there = connection.scalar(_EXTENSION)
    offered = connection.scalars(
        text("SELECT version FROM pg_available_extension_versions WHERE name = 'timescaledb'")
    )
    return _loaded(connection) and (there == version if there else version in set(offered))


def install(connection: Connection, version: str) -> None:
    """Put the extension into this database, in a version that is `installable`."""
    connection.execute(text(f"CREATE EXTENSION IF NOT EXISTS timescaledb VERSION '{version}'"))


def _marked() -> list[Table]:
    return [table for table in metadata.sorted_tables if "hypertable" in table.info]


def _make_compressible(connection: Connection) -> None:
    # Late data must never be refused because of how much it opens again.
    connection.execute(
        text("""
            DO $$ BEGIN EXECUTE format(
                'ALTER DATABASE %I SET'
                ' timescaledb.max_tuples_decompressed_per_dml_transaction = 0',
                current_database());
            END $$
        """)
    )
    already = connection.scalars(
        text("""
            SELECT hypertable_name FROM timescaledb_information.hypertables
            WHERE compression_enabled
        """)
    ).all()
    for table in _marked():
        if table.name not in already:
            segment, order = table.info["segment_by"], table.info["hypertable"]
            connection.execute(
                text(f"""
                    ALTER TABLE {table.name} SET (timescaledb.enable_columnstore,
                        timescaledb.segmentby = '{segment}', timescaledb.orderby = '{order}')
                """)
            )


def _any_row(connection: Connection, chunk: str) -> bool:
    """Compressed rows are not seen: ONLY leaves out where a chunk keeps them."""
    return bool(connection.scalar(text(f"SELECT EXISTS (SELECT FROM ONLY {chunk})")))


def _loaded(connection: Connection) -> bool:
    """Installed here and preloaded: the extension refuses to work otherwise.

    Asked by a setting of the loader: shared_preload_libraries is shown to superusers only.
    """
    return bool(
        connection.scalar(
            text("""
                SELECT current_setting('timescaledb.disable_load', true) IS NOT NULL
                   AND EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
            """)
        )
    )
