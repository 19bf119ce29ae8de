"""What somebody at a shell does to the database: in one transaction, and told to the audit."""

import getpass
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, TypeVar

import typer
from sqlalchemy import Connection, Engine

from shared.db import audit, migrate
from shared.db.engine import sync_engine
from shared.settings import Database, load

Told = TypeVar("Told")
WhyOption = Annotated[str | None, typer.Option("--why", help="Reason, for the audit.")]


@contextmanager
def opened() -> Iterator[Engine]:
    """The database of LAB_DATABASE_URL, at this release's schema."""
    settings = load(Database)
    engine = sync_engine(settings)
    try:
        migrate.ready(engine, settings)
        yield engine
    finally:
        engine.dispose()


def with_database(act: Callable[[Connection], Told]) -> Told:
    """Act in one transaction on it."""
    with opened() as engine, engine.begin() as connection:
        return act(connection)


def note(
    connection: Connection,
    action: str,
    what: str,
    why: str | None,
    changed: tuple[str, ...] = (),
    values: Mapping[str, audit.JSON] | None = None,
) -> None:
    """Tell the audit, in the same transaction, what somebody at a shell does."""
    who = f"cli:{getpass.getuser()}"
    entry = audit.Entry(
        actor=who, action=action, object=what, why=why, changed=changed, values=values or {}
    )
    audit.record_sync(connection, entry)
