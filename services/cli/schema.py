"""`lab db upgrade|check|info|dump|restore`."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from services.cli import backup
from services.cli.acting import WhyOption, note
from services.cli.app import database
from shared.db import migrate, storage, timescale
from shared.db.access import first_run
from shared.db.engine import DatabaseUnreachable, sync_engine, unreachable
from shared.settings import Access, Api, Database, load

Told = TypeVar("Told")


@database.command()
def upgrade() -> None:
    """Bring the schema to this release; makes hypertables where TimescaleDB is present."""
    converted = _with_engine(migrate.upgrade)
    told = f"; hypertables made: {', '.join(converted)}" if converted else ""
    typer.echo(f"the database is at this release's schema{told}")
    for line in _with_engine(_welcome):
        typer.echo(line)


@database.command()
def check() -> None:
    """Tell whether the schema is this release's; exit code 2 when not."""
    _with_engine(migrate.check)
    typer.echo("the schema is this release's")


@database.command()
def info() -> None:
    """Versions, edition, revision, the size of each table and of a reading of each property."""
    for facts in (_versions, _tables, _readings):
        for line in _with_engine(facts):
            typer.echo(line)


@database.command()
def dump(
    file: Annotated[Path, typer.Argument(help="A new file.")], *, why: WhyOption = None
) -> None:
    """Write everything to FILE, as it is at this moment; services may go on."""

    def act(engine: Engine) -> dict[str, int]:
        with engine.begin() as connection:  # the largest export there is, personal text and all
            note(connection, "export", "database", why)
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


def _welcome(engine: Engine) -> list[str]:
    with engine.begin() as connection:
        return first_run.welcome(connection, load(Api), load(Access), datetime.now(UTC))


def _told(rows: dict[str, int]) -> str:
    named = ", ".join(f"{rows.get(name, 0)} {name}s" for name in ("reading", "uplink", "device"))
    return f"{sum(rows.values())} rows in {len(rows)} tables, among them {named}"


def _versions(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        facts = {**timescale.versions(connection), "revision": migrate.current(connection)}
    return [f"{name:24} {value or 'none'}" for name, value in facts.items()]


def _tables(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        migrate.require_head(connection)
        rows, sizes = backup.rows(connection), storage.tables(connection)
    head = f"\n{'table':24} {'rows':>12} {'kB':>12}"
    return [head, *(f"{name:24} {rows[name]:12} {n / 1000:12.0f}" for name, n in sizes.items())]


def _readings(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        stored = storage.readings(connection)
    columns = ("plain", "bytes each", "compressed", "bytes each")
    head = f"\n{'readings of':24} {' '.join(f'{name:>12}' for name in columns)}"
    return [head, *(f"{e.property:24} {_part(e.plain)} {_part(e.compressed)}" for e in stored)]


def _part(part: storage.Part) -> str:
    return f"{part.readings:12} {'-' if part.each is None else format(part.each, '.1f'):>12}"


def _with_engine(act: Callable[[Engine], Told]) -> Told:
    settings = load(Database)
    engine = sync_engine(settings)
    try:
        return act(engine)
    except DBAPIError as error:
        raise DatabaseUnreachable(unreachable(settings, error.orig or error)) from error
    finally:
        engine.dispose()
