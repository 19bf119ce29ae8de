"""Who may push to what: a copy in memory, for no request may wait for the database."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import psycopg
import structlog
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from services.ingest.deadline import within
from shared.db import credentials
from shared.db.access import actor as actors
from shared.db.access.actor import Actor
from shared.db.engine import sync_engine
from shared.db.session import PUSH
from shared.settings import Database

log = structlog.get_logger()
EVERY_S: Final = 2.0  # after which a new credential is known, and a revoked one no longer
PATIENCE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """A source, by the name its credential has: SITE.SOURCE."""

    name: str
    site_id: int
    site: str
    adapter: str
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """One moment of it. keys: by digest."""

    sources: Mapping[str, Target] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[bytes, Actor] = field(default_factory=dict)


class Register:
    """Reads it anew every EVERY_S; while the database is away what was known goes on."""

    def __init__(self, database: Database) -> None:
        self.known = Known()
        self._used: set[bytes] = set()
        self._engine: Engine = sync_engine(database, PUSH)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="register", daemon=True)

    def start(self) -> None:
        """Read it once, or raise; then follow."""
        self._read()
        self._thread.start()

    def stop(self) -> None:
        """Read no more."""
        self._stop.set()
        self._thread.join(PATIENCE_S)
        self._engine.dispose()

    def note(self, key: bytes) -> None:
        """A key was used: written down with the next reading."""
        self._used.add(key)

    def _follow(self) -> None:
        away = False
        while not self._stop.wait(EVERY_S):
            try:
                self._read()
                away = False
            except (SQLAlchemyError, psycopg.Error) as error:
                if not away:
                    log.warning("register_not_read", error=str(error).splitlines()[0])
                away = True

    def _read(self) -> None:
        used, self._used = self._used, set()
        with self._engine.begin() as connection:
            line = connection.connection.driver_connection
            assert isinstance(line, psycopg.Connection)
            with within(line, PATIENCE_S):
                if used:
                    connection.execute(_USED, {"digests": [*used]})
                self.known = read(connection)


def read(connection: Connection) -> Known:
    """Sources, credentials and keys as they are."""
    sources = [
        Target(name, site_id, site, adapter, tuple(filters))
        for name, site_id, site, adapter, filters in connection.execute(_SOURCES)
    ]
    return Known(
        {each.name: each for each in sources},
        credentials.hashes(connection),
        actors.keys(connection),
    )


_SOURCES: Final = text(
    """
    SELECT site.key || '.' || source.key, site.id, site.key, source.adapter, source.filters
    FROM source JOIN site ON site.id = source.site_id
    """
)
_USED: Final = text("UPDATE api_key SET last_used_at = now() WHERE digest = ANY(:digests)")
