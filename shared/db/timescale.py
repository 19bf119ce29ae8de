"""The only place that asks which edition of PostgreSQL this is."""

from typing import Final, Literal

from sqlalchemy import Connection, text

from shared.db.tables import metadata

Edition = Literal["community", "apache", "plain"]
CHUNK: Final = "7 days"
_LICENCE: Final = text("SELECT current_setting('timescaledb.license', true)")
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


def compresses(connection: Connection) -> bool:
    """Whether this server may compress, be the extension in this database yet or not."""
    return bool(connection.scalar(_LICENCE) == "timescale")


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
