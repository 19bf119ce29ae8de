"""Bringing a database to the schema of this release, and telling where it stands."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from shared.db import scope, timescale
from shared.db.engine import DatabaseUnreachable, unreachable
from shared.errors import OperatorError
from shared.settings import Database

UNFINISHED: Final = "restore_unfinished"  # a table that is there while a dump is restored


class SchemaError(OperatorError):
    """The database is not at the schema this release needs."""


def upgrade(engine: Engine, revision: str = "head") -> list[str]:
    """Migrate, convert hypertables where TimescaleDB is, make the views that keep sites apart.

    Returns the tables converted.
    """
    with engine.begin() as connection:
        _require_whole(connection)
        scope.drop(connection)
        try:
            command.upgrade(_config(connection), revision)
        except CommandError as error:
            raise SchemaError(
                f"the database is at revision {current(connection)}, which this release does not"
                " know: it is of a newer one; bring that release, or restore a dump"
            ) from error
        if revision != "head":
            return []
        scope.apply(connection)  # with the schema itself: nobody finds tables without them
    with engine.begin() as connection:
        return timescale.apply(connection)


def downgrade(engine: Engine, revision: str = "base") -> None:
    """Undo migrations down to `revision`."""
    with engine.begin() as connection:
        scope.drop(connection)
        command.downgrade(_config(connection), revision)


def check(engine: Engine) -> None:
    """Raise SchemaError when migrations are missing or tables differ from shared/db/tables."""
    with engine.begin() as connection:
        require_head(connection)
        try:
            command.check(_config(connection))
        except CommandError as error:
            raise SchemaError(f"the schema differs from the code: {error}") from error


def require_head(connection: Connection) -> None:
    """Raise SchemaError unless every migration has been applied, and no restore was cut short."""
    _require_whole(connection)
    at, head = (
        current(connection),
        ScriptDirectory.from_config(_config(connection)).get_current_head(),
    )
    if at != head:
        raise SchemaError(
            f"the database is at revision {at or 'none'}, this release needs {head}:"
            " run `lab db upgrade`"
        )
    if not scope.applied(connection):  # after a restore, which leaves the views to us
        raise SchemaError("the views that keep sites apart are missing: run `lab db upgrade`")


def _require_whole(connection: Connection) -> None:
    if connection.scalar(text(f"SELECT to_regclass('public.{UNFINISHED}')")):
        raise SchemaError(
            "a restore into this database has not ended: wait for it; if it was cut short, restore"
            " into a new database (CREATE DATABASE) and drop this one"
        )


def current(connection: Connection) -> str | None:
    """The applied revision, or None for an empty database."""
    return MigrationContext.configure(connection).get_current_revision()


def ready(engine: Engine, database: Database) -> None:
    """What every service asks at start: reachable, and at this release's schema."""
    try:
        with engine.connect() as connection:
            require_head(connection)
    except OperationalError as error:
        raise DatabaseUnreachable(unreachable(database, error)) from error


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config
