"""The only place that asks which edition of PostgreSQL this is."""

from typing import Final, Literal

from sqlalchemy import Connection, text

from shared.db.tables import metadata

Edition = Literal["community", "apache", "plain"]
CHUNK: Final = "7 days"


def edition(connection: Connection) -> Edition:
    """TimescaleDB's edition in this database, or plain PostgreSQL."""
    licence = connection.scalar(
        text("""
            SELECT current_setting('timescaledb.license', true)
            FROM pg_extension WHERE extname = 'timescaledb'
        """)
    )
    return "plain" if licence is None else "community" if licence == "timescale" else "apache"


def versions(connection: Connection) -> dict[str, str | None]:
    """Server, TimescaleDB version (null where absent) and edition."""
    return {
        "postgresql": connection.scalar(text("SHOW server_version")),
        "timescaledb": connection.scalar(
            text("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
        ),
        "edition": edition(connection),
    }


def apply(connection: Connection) -> list[str]:
    """Turn marked tables into hypertables where TimescaleDB is loaded; returns those converted.

    Idempotent, run after every upgrade; on plain PostgreSQL it does nothing.
    """
    if not _loaded(connection):
        return []
    connection.execute(text("CREATE EXTENSION IF NOT EXISTS timescaledb"))
    already = set(
        connection.scalars(text("SELECT hypertable_name FROM timescaledb_information.hypertables"))
    )
    todo = {
        table.name: table.info["hypertable"]
        for table in metadata.sorted_tables
        if "hypertable" in table.info and table.name not in already
    }
    for name, column in todo.items():
        connection.execute(
            text("""
                SELECT create_hypertable(
                    CAST(:name AS regclass), by_range(:column, CAST(:chunk AS interval)),
                    create_default_indexes => false, migrate_data => true)
            """),
            {"name": name, "column": column, "chunk": CHUNK},
        )
    return list(todo)


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
