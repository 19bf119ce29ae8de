"""What a task of ingest is, and the desk it is done at: connections, registry, adapters."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from services.ingest import arrival, fleet, pipeline, writer
from services.ingest.block import Block
from services.ingest.pipeline import Prepared
from services.ingest.uplink import Adapter, Message
from shared.db import timescale
from shared.db.engine import connect, sync_engine
from shared.db.session import INGEST_TASKS
from shared.settings import Database

Result = dict[str, Any]


class Interrupted(Exception):
    """Ingest is being stopped: what was committed stays, and the rest is done later."""


class Unusable(Exception):
    """The task cannot be done as it was asked; the message says why."""


@dataclass(slots=True)
class Task:
    """One task under way. progress is written with each slice, and whoever goes on begins there."""

    id: int
    args: Mapping[str, Any]
    site_id: int | None  # None: of every site
    requested_at: datetime
    progress: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of task: works in slices of at most a few seconds, and returns what came of it."""

    name: str
    run: Callable[["Desk", Task], Result]


class Desk:
    """Two connections of its own, so that the live path never waits for a task: one works in
    slices and holds the task's lock, one reads the registry and listens."""

    def __init__(
        self, database: Database, adapters: Mapping[str, Adapter], stop: threading.Event
    ) -> None:
        self.adapters = adapters
        self.stop = stop
        engine = sync_engine(database, INGEST_TASKS)
        with engine.connect() as asking:
            self.rewriting = timescale.before_rewriting(asking)
        engine.dispose()
        with ExitStack() as opened:  # both or none
            self.connection = opened.enter_context(closing(connect(database, INGEST_TASKS)))
            arrival.prepare_session(self.connection)
            registry = connect(database, INGEST_TASKS, autocommit=True)
            self.registry = opened.enter_context(closing(registry))
            self._memory = arrival.Memory()
            self.load()
            opened.pop_all()

    def load(self) -> None:
        """Read the registry as it is now."""
        self.fleet = fleet.load(self.registry)

    @contextmanager
    def slice(self, task: Task) -> Iterator[psycopg.Connection]:
        """One transaction with its progress; raises Interrupted instead of beginning another."""
        if self.stop.is_set():
            raise Interrupted
        try:
            with self.connection.transaction():
                yield self.connection
                self.connection.execute(_SAVE, [Jsonb(task.progress), task.id])
        except BaseException:
            self._memory = arrival.Memory()  # of what was written, and is not
            raise

    def prepare(self, messages: Sequence[Message], *, add: bool = True) -> list[Prepared]:
        """Through today's pipeline. add: a device without a profile gets the datastreams it
        needs."""
        batch = [pipeline.prepare(each, self.fleet, self.adapters) for each in messages]
        missing = {p.device.id: p.missing for p in batch if p.device and p.missing}
        if not (missing and add):
            return batch
        for device_id, names in missing.items():
            fleet.add_datastreams(self.registry, device_id, sorted(names))
        self.load()
        return [pipeline.prepare(each, self.fleet, self.adapters) for each in messages]

    def write(self, batch: Sequence[Prepared]) -> writer.Written:
        """Within the slice: as the live path does, in one piece."""
        return writer.write(self.connection, Block(batch), self._memory)

    def close(self) -> None:
        """Close both connections, and with them the lock."""
        self.connection.close()
        self.registry.close()


_SAVE: Final = "UPDATE task SET progress = %s WHERE id = %s"
