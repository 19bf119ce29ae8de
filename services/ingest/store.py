"""Ingest's side of the database: the registry snapshot and the batch connection, kept alive."""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
import structlog

from services.ingest import arrival, fleet, writer
from services.ingest.block import Block
from services.ingest.deadline import within
from services.ingest.pipeline import Prepared
from services.ingest.uplink import Refused
from shared.db.change import REGISTRY_CHANNEL
from shared.db.engine import DatabaseUnreachable, connect
from shared.db.session import INGEST, Session
from shared.settings import Database

log = structlog.get_logger()
_BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
_RELOAD_AT_MOST_EVERY_S: Final = 1.0
_LONGEST_S: Final = 300.0
# Faults of what is written, not of the database; too large for an index is an OperationalError.
_OF_DATA: Final = (
    *(psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded),
    UnicodeEncodeError,
)


class Store:
    """Two connections: one writes batches, one listens for registry changes and reads it. Each may
    be used by a thread of its own.

    deadline_s: how long the database may take for one batch. What takes longer has twice the time
    when it is tried again, so that a slow disk is no dead end.
    """

    def __init__(
        self, database: Database, *, deadline_s: float = 10.0, session: Session = INGEST
    ) -> None:
        self._database = database
        self._session = session
        self._deadline_s = self._patience_s = deadline_s
        self._attempts = 0
        self._try_at = 0.0
        self.healthy = True
        self._registry = threading.RLock()  # held by whoever uses, or replaces, what listens
        self._connect()

    def _connect(self) -> None:
        self._writing = connect(self._database, self._session)
        with within(self._writing, self._deadline_s):
            arrival.prepare_session(self._writing)
        self._memory = arrival.Memory()
        self._listening = connect(self._database, self._session, autocommit=True)
        with self._asking() as connection:
            connection.execute(f"LISTEN {REGISTRY_CHANNEL}")
        self._load()

    @contextmanager
    def _asking(self) -> Iterator[psycopg.Connection]:
        with self._registry, within(self._listening, self._deadline_s):
            yield self._listening

    @contextmanager
    def _patiently(self) -> Iterator[None]:
        begun = time.monotonic()
        try:
            with within(self._writing, self._patience_s):
                yield
        except psycopg.OperationalError:
            if time.monotonic() - begun >= self._patience_s:
                self._patience_s = min(2 * self._patience_s, _LONGEST_S)
            raise
        self._patience_s = self._deadline_s

    @property
    def usable(self) -> bool:
        """Whether both connections stand, as far as this side can tell."""
        return not (self._writing.closed or self._listening.closed)

    def _load(self) -> None:
        with self._asking() as connection:
            self.fleet = fleet.load(connection)
        self._loaded_at = time.monotonic()

    def refresh(self) -> bool:
        """Reload the registry when somebody applied a site; returns whether it was reloaded."""
        with self._registry:
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
        with self._asking() as connection:
            fleet.add_datastreams(connection, device_id, properties)
        self._load()

    def write(self, batch: Block) -> writer.Written:
        """Write a batch; one refused for its data is halved until the message is found."""
        try:
            with self._patiently():
                return writer.write(self._writing, batch, self._memory)
        except _OF_DATA as error:
            if len(batch) > 1:
                middle = len(batch) // 2
                halves = self.write(Block(batch[:middle])), self.write(Block(batch[middle:]))
                return writer.Written(*(a + b for a, b in zip(*halves, strict=True)))
            if batch[0].refused:  # refused twice over: nothing of it can be kept
                raise
            log.warning("database_refused_message", topic=batch[0].message.topic, error=str(error))
            return self.write(Block([_refused(batch[0], error)]))

    def reconnect(self) -> bool:
        """Try once, unless the last time is too short a while ago; whether the database answers."""
        self.healthy = False
        if time.monotonic() < self._try_at:
            return False
        try:
            with self._registry:
                self.close()
                self._connect()
        except (DatabaseUnreachable, psycopg.Error) as error:
            log.warning("database_away", error=str(error).splitlines()[0])
            pause = _BACKOFF_S[min(self._attempts, len(_BACKOFF_S) - 1)]
            self._try_at = time.monotonic() + pause
            self._attempts += 1
            return False
        self._attempts = 0
        self.healthy = True
        log.info("database_back")
        return True

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
