"""Engines and connections: sync for ingest and analytics, async for the API."""

from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared.db.session import API_READ, CLI, Session
from shared.errors import OperatorError
from shared.settings import Database

# A server that is paused accepts connections and says nothing; a cut line says nothing at all.
_PATIENCE: Final[dict[str, Any]] = {
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}


class DatabaseUnreachable(OperatorError):
    """Nothing answers at LAB_DATABASE_URL, or it refuses us."""


def connect(
    database: Database, session: Session = CLI, *, autocommit: bool = False
) -> psycopg.Connection:
    """One psycopg connection in UTC; raises DatabaseUnreachable."""
    try:
        return psycopg.connect(
            database.url, autocommit=autocommit, options=session.options, **_PATIENCE
        )
    except psycopg.OperationalError as error:
        raise DatabaseUnreachable(unreachable(database, error)) from error


def sync_engine(database: Database, session: Session = CLI) -> Engine:
    """A small engine for one worker process; sessions speak UTC."""
    return create_engine(
        _dialect_url(database),
        pool_size=4,
        pool_pre_ping=True,
        connect_args={"options": session.options, **_PATIENCE},
    )


def async_engine(
    database: Database,
    session: Session = API_READ,
    *,
    pool: int | None = None,
    guarded: bool = False,
) -> AsyncEngine:
    """A pool of the API, `database.pool` connections unless told otherwise; it sees the scoped
    views only (shared/db/scope.py).

    guarded: services/api/access/transaction.py begins each transaction, and needs no ping for it.
    """
    return create_async_engine(
        _dialect_url(database),
        pool_size=pool or database.pool,
        max_overflow=0,
        pool_pre_ping=not guarded,
        isolation_level="AUTOCOMMIT" if guarded else None,
        connect_args={"options": session.options},
    )


def unreachable(database: Database, error: Exception) -> str:
    """The one line an operator sees: variable, place and reason, never the password."""
    parts = conninfo_to_dict(database.url)
    place = f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"
    said = str(getattr(error, "orig", None) or error).strip().splitlines()
    # What the driver asks back ("Is the server running …?") is no reason.
    told = [line.strip() for line in said if not line.endswith("?")]
    reason = told[-1] if told else type(error).__name__
    return f"LAB_DATABASE_URL: cannot use the database at {place}: {reason}"


def _dialect_url(database: Database) -> str:
    scheme = urlsplit(database.url).scheme
    url = make_url(database.url.replace(scheme, "postgresql+psycopg", 1))
    return url.render_as_string(hide_password=False)
