"""`lab db upgrade|check|info|dump|restore`."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from services.cli import backup
from services.cli.app import database
from shared.db import migrate, timescale
from shared.db.engine import DatabaseUnreachable, sync_engine, unreachable
from shared.settings import Database, load

Told = TypeVar("Told")


@database.command()
def upgrade() -> None:
    """Bring the schema to this release; makes hypertables where TimescaleDB is present."""
    converted = _with_engine(migrate.upgrade)
    told = f"; hypertables made: {', '.join(converted)}" if converted else ""
    typer.echo(f"the database is at this release's schema{told}")


@database.command()
def check() -> None:
    """Tell whether the schema is this release's; exit code 2 when not."""
    _with_engine(migrate.check)
    typer.echo("the schema is this release's")


@database.command()
def info() -> None:
    """Versions, edition, revision and the size of each table."""
    for name, value in _with_engine(_facts).items():
        typer.echo(f"{name:24} {value}")


@database.command()
def dump(file: Annotated[Path, typer.Argument(help="A new file.")]) -> None:
    """Write everything to FILE, as it is at this moment; services may go on."""

    def act(engine: Engine) -> dict[str, int]:
        with backup.frozen(engine) as (connection, snapshot):
            backup.dump(engine, file, snapshot)
            return backup.rows(connection)

    typer.echo(f"{file} holds {_told(_with_engine(act))}")


@database.command()
def restore(file: Annotated[Path, typer.Argument(help="A file of `lab db dump`.")]) -> None:
    """Fill an empty database (LAB_DATABASE_URL) from FILE."""

    def act(engine: Engine) -> dict[str, int]:
        backup.restore(engine, file)
        with engine.connect() as connection:
            return backup.rows(connection)

    typer.echo(f"restored {_told(_with_engine(act))}; now run `lab db upgrade`")


def _told(rows: dict[str, int]) -> str:
    named = ", ".join(f"{rows.get(name, 0)} {name}s" for name in ("reading", "uplink", "device"))
    return f"{sum(rows.values())} rows in {len(rows)} tables, among them {named}"


def _facts(engine: Engine) -> dict[str, object]:
    with engine.connect() as connection:
        facts: dict[str, object] = {**timescale.versions(connection)}
        facts["revision"] = migrate.current(connection) or "none: run `lab db upgrade`"
        if facts["revision"] != migrate.current(connection):
            return facts
        for name, rows in connection.execute(text(_ROWS)):
            facts[name] = f"{rows} rows"
        return facts


_ROWS = """
    SELECT 'sites', count(*) FROM site UNION ALL
    SELECT 'devices', count(*) FROM device UNION ALL
    SELECT 'uplinks', count(*) FROM uplink UNION ALL
    SELECT 'readings', count(*) FROM reading UNION ALL
    SELECT 'findings', count(*) FROM finding WHERE withdrawn_at IS NULL
"""


def _with_engine(act: Callable[[Engine], Told]) -> Told:
    settings = load(Database)
    engine = sync_engine(settings)
    try:
        return act(engine)
    except DBAPIError as error:
        raise DatabaseUnreachable(unreachable(settings, error.orig or error)) from error
    finally:
        engine.dispose()
