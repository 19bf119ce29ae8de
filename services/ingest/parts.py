"""What an ingest is made of, whatever its inlet: the database, and a spool where there is one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from services.ingest.batch import Adapters
from services.ingest.spool.drain import Drain
from services.ingest.spool.spool import Spool
from services.ingest.store import Store
from shared.db import migrate
from shared.db.engine import sync_engine
from shared.db.session import INGEST, INGEST_BACKLOG
from shared.settings import Database, Ingest

Backlog = tuple[Spool, Drain]


@dataclass(frozen=True, slots=True)
class Parts:
    """Opened, and closed by whoever opened them."""

    store: Store
    adapters: Adapters
    backlog: Backlog | None

    def unable(self) -> str | None:
        """Why nothing can be made durable now; None: it can, as far as is known."""
        if self.backlog:
            return self.backlog[0].full
        return None if self.store.healthy else "the database is away and LAB_INGEST_SPOOL not set"


@contextmanager
def opened(database: Database, settings: Ingest, adapters: Adapters) -> Iterator[Parts]:
    """Connect, and begin to drain what an earlier process left. Raises OperatorError."""
    _require_schema(database)
    store = Store(database, deadline_s=settings.deadline_s)
    try:
        with _spooling(database, settings, store, adapters) as backlog:
            yield Parts(store, adapters, backlog)
    finally:
        store.close()


def _require_schema(database: Database) -> None:
    engine = sync_engine(database, INGEST)
    migrate.ready(engine, database)
    engine.dispose()


@contextmanager
def _spooling(
    database: Database, settings: Ingest, store: Store, adapters: Adapters
) -> Iterator[Backlog | None]:
    """The spool and its drain; what is in it at the end stays for the next start."""
    if settings.spool is None:
        yield None
        return

    def is_personal(topic: str) -> bool:
        return any(each.is_personal(topic) for each in adapters.values())

    def arrive() -> Store:
        return Store(database, deadline_s=settings.deadline_s, session=INGEST_BACKLOG)

    spool = Spool(settings.spool, settings.spool_bytes, is_personal)
    drain = Drain(spool, arrive, adapters, live=lambda: store.healthy)
    drain.start()
    try:
        yield spool, drain
    finally:
        drain.stop()
        spool.close()
