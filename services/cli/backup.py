"""Dump and restore: PostgreSQL's own custom format, all of it or nothing."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

from services.analytics.audit import seal as audit
from services.cli.pg_client import ProgramFailed, program, run
from shared.db import change, scope, timescale
from shared.db.migrate import UNFINISHED
from shared.errors import OperatorError


class BackupRefused(OperatorError):
    """Nothing was dumped or restored; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Archive:
    """What a dump says about itself. timescaledb: the extension's version; None without it."""

    server: int
    timescaledb: str | None
    compressed: bool


@contextmanager
def frozen(engine: Engine) -> Iterator[tuple[Connection, str]]:
    """A connection that keeps seeing this moment, and the name under which others see it too."""
    with engine.connect() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        yield connection, str(connection.scalar(text("SELECT pg_export_snapshot()")))


def dump(engine: Engine, file: Path, snapshot: str) -> None:
    """Write what `snapshot` sees to `file`, readable by its owner alone.

    Raises BackupRefused, ProgramFailed; then there is no file.
    """
    if file.exists():
        raise BackupRefused(f"{file} exists: a dump never overwrites, name another file")
    if not file.parent.is_dir():
        raise BackupRefused(f"{file.parent} is no directory: make it first")
    with engine.connect() as connection:
        server = _major(connection)
    partial = file.with_name(f"{file.name}.partial")
    try:
        run(
            program("pg_dump", server),
            *("--format=custom", "--no-owner", "--no-privileges"),
            f"--exclude-schema={scope.SCHEMA}",  # made anew by `lab db upgrade`
            *(f"--snapshot={snapshot}", f"--file={partial}"),
            database=engine.url,
        )
        partial.rename(file)
    finally:
        partial.unlink(missing_ok=True)


def restore(engine: Engine, file: Path) -> None:
    """Fill an empty database from `file`.

    Raises BackupRefused, ProgramFailed; then the database has no table of ours, as before.
    """
    with engine.connect() as connection:
        server = _major(connection)
        archive = _described(file, server)
        _require_empty(connection)
        _require_fitting(connection, archive, server)
    with _marked(engine), _timescale_restoring(engine, archive.timescaledb):
        run(
            program("pg_restore", server),
            *("--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges"),
            str(file),
            database=engine.url,
        )
    with engine.begin() as connection:
        change.rebase(connection)
        # Who was in then is not in now: a session or link may have been ended since the dump.
        connection.execute(text("DELETE FROM session"))
        connection.execute(text("DELETE FROM sign_in_link"))
        audit.rebase(connection)
        connection.execute(text(f"DROP TABLE {UNFINISHED}"))
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))


def rows(connection: Connection) -> dict[str, int]:
    """Rows of each of the platform's tables, as `connection` sees them."""
    names = connection.scalars(_TABLES).all()
    return {name: connection.scalar(text(f'SELECT count(*) FROM "{name}"')) or 0 for name in names}


def _major(connection: Connection) -> int:
    return int(connection.scalar(text("SHOW server_version_num")) or 0) // 10000


def _described(file: Path, server: int) -> Archive:
    """Read the table of contents of a dump; raises BackupRefused for any other file."""
    if not file.is_file():
        raise BackupRefused(f"{file}: no such file")
    reader = program("pg_restore", server)
    contents = run(reader, "--list", str(file))
    made_by = re.search(r"Dumped from database version: (\d+)", contents)
    if made_by is None or " TABLE public alembic_version " not in contents:
        raise BackupRefused(f"{file} is no dump of a living lab")
    return Archive(
        server=int(made_by.group(1)),
        timescaledb=_extension(reader, file) if " EXTENSION - timescaledb " in contents else None,
        compressed=bool(_COMPRESSED.search(contents)),
    )


def _extension(reader: Path, file: Path) -> str:
    """TimescaleDB's version, which its own catalogue among the data tells."""
    where = ("--data-only", "--schema=_timescaledb_catalog", "--table=metadata", "--file=-")
    told = re.search(r"^timescaledb_version\t(\S+)", run(reader, *where, str(file)), re.M)
    if told is None:
        raise BackupRefused(f"{file} does not tell its version of TimescaleDB")
    return told.group(1)


def _require_empty(connection: Connection) -> None:
    names = connection.scalars(_RELATIONS).all()
    if names:
        raise BackupRefused(
            f"LAB_DATABASE_URL: the database is not empty (it has {', '.join(names)}):"
            " restore into a new one (CREATE DATABASE)"
        )


def _require_fitting(connection: Connection, archive: Archive, server: int) -> None:
    if archive.server > server:
        raise BackupRefused(
            f"the dump is of PostgreSQL {archive.server}, this server is {server}:"
            f" restore into {archive.server} or newer"
        )
    if archive.timescaledb is None:
        return
    if not timescale.installable(connection, archive.timescaledb):
        raise BackupRefused(
            f"the dump is of TimescaleDB {archive.timescaledb}, which this server does not have"
            " preloaded: restore where exactly that version is, upgrade the extension after"
        )
    if archive.compressed and not timescale.compresses(connection):
        raise BackupRefused(
            "the dump holds compressed chunks, which only TimescaleDB community can read:"
            " restore there (timescaledb.license = timescale)"
        )


@contextmanager
def _marked(engine: Engine) -> Iterator[None]:
    """The mark of an unfinished copy, which no service takes for a whole one. It goes again where
    nothing was restored, as pg_restore's one transaction says; a restore that was killed, or that
    failed after that, leaves it."""
    with engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE {UNFINISHED} ()"))
    try:
        yield
    except (BackupRefused, ProgramFailed):
        with engine.begin() as connection:
            connection.execute(text(f"DROP TABLE {UNFINISHED}"))
        raise


@contextmanager
def _timescale_restoring(engine: Engine, version: str | None) -> Iterator[None]:
    """TimescaleDB's own steps around a restore: its triggers and workers stand still."""
    if version is None:
        yield
        return
    with engine.begin() as connection:
        timescale.install(connection, version)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT timescaledb_pre_restore()"))
    except ProgrammingError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise
        raise BackupRefused(
            "restoring TimescaleDB needs a superuser in LAB_DATABASE_URL"
        ) from error
    engine.dispose()  # sessions from before do not know that the database is being restored
    try:
        yield
    finally:
        with engine.begin() as connection:
            connection.execute(text("SELECT timescaledb_post_restore()"))
        engine.dispose()


_COMPRESSED: Final = re.compile(r"TABLE DATA _timescaledb_internal \S*compress")
_TABLES: Final = text("""
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY relname
""")
# What belongs to an extension was there before us: TimescaleDB's image puts it in every database.
_RELATIONS: Final = text("""
    SELECT relname FROM pg_class
    WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
      AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
      AND NOT EXISTS (SELECT FROM pg_depend
                      WHERE objid = pg_class.oid AND classid = 'pg_class'::regclass
                        AND deptype = 'e')
    ORDER BY relname LIMIT 3
""")
