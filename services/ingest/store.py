"""Ingest's side of the database: the registry snapshot and the batch connection, kept alive."""

import threading
import time
from collections.abc import Iterable, Sequence
from typing import Final

import psycopg
import structlog

from services.ingest import arrival, fleet, writer
from services.ingest.pipeline import Prepared
from services.ingest.uplink import Refused
from shared.db import migrate
from shared.db.change import REGISTRY_CHANNEL
from shared.db.engine import DatabaseUnreachable, connect, sync_engine
from shared.db.session import INGEST
from shared.settings import Database

log = structlog.get_logger()
_BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
_RELOAD_AT_MOST_EVERY_S: Final = 1.0


class Store:
    """Two connections: one writes batches, one listens for registry changes and reads it."""

    def __init__(self, database: Database) -> None:
        engine = sync_engine(database, INGEST)
        migrate.ready(engine, database)
        engine.dispose()
        self._database = database
        self.healthy = True
        self._connect()

    def _connect(self) -> None:
        self._writing = connect(self._database, INGEST)
        arrival.prepare_session(self._writing)
        self._memory = arrival.Memory()
        self._listening = connect(self._database, INGEST, autocommit=True)
        self._listening.execute(f"LISTEN {REGISTRY_CHANNEL}")
        self._load()

    def _load(self) -> None:
        self.fleet = fleet.load(self._listening)
        self._loaded_at = time.monotonic()

    def refresh(self) -> bool:
        """Reload the registry when somebody applied a site; returns whether it was reloaded."""
        if not [*self._listening.notifies(timeout=0)]:
            return False
        self._load()
        return True

    def reload_for_unknown(self) -> bool:
        """Reload for an unknown device; at most once a second, since anyone can invent one."""
        if time.monotonic() - self._loaded_at < _RELOAD_AT_MOST_EVERY_S:
            return False
        self._load()
        return True

    def add_datastreams(self, device_id: int, properties: Iterable[str]) -> None:
        """Make datastreams a device without a profile has just begun to send."""
        fleet.add_datastreams(self._listening, device_id, properties)
        self._load()

    def write(self, batch: Sequence[Prepared]) -> writer.Written:
        """Write a batch; one refused for its data is halved until the message is found."""
        try:
            return writer.write(self._writing, batch, self._memory)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            if len(batch) > 1:
                middle = len(batch) // 2
                halves = self.write(batch[:middle]), self.write(batch[middle:])
                return writer.Written(*(a + b for a, b in zip(*halves, strict=True)))
            if batch[0].refused:  # refused twice over: nothing of it can be kept
                raise
            log.warning("database_refused_message", topic=batch[0].message.topic, error=str(error))
            return self.write([_refused(batch[0], error)])

    def reconnect(self, stop: threading.Event) -> None:
        """Try for ever, or until `stop`: what is not committed is not acknowledged."""
        self.healthy = False
        for attempt in range(10**9):
            if stop.wait(_BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)]):
                return
            try:
                self.close()
                self._connect()
            except (DatabaseUnreachable, psycopg.Error) as error:
                log.warning("database_away", error=str(error).splitlines()[0])
            else:
                self.healthy = True
                log.info("database_back")
                return

    def close(self) -> None:
        """Close both connections."""
        self._writing.close()
        self._listening.close()


def _refused(prepared: Prepared, error: Exception) -> Prepared:
    """The same message without its content, kept under `db_refused`."""
    detail = str(error).splitlines()[0]
    return Prepared(
        prepared.message,
        prepared.id,
        prepared.source,
        personal=prepared.personal,
        device=prepared.device,
        refused=Refused("db_refused", "" if prepared.personal else detail),
    )
