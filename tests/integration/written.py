"""Messages straight through pipeline and writer, without a broker, at times the test chooses."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, text

from services.ingest import batch as steps
from services.ingest import main
from services.ingest.store import Store
from services.ingest.uplink import Message
from services.ingest.writer import Written
from shared.settings import Database


class Ingest:
    """Ingest's own steps, one batch at a time."""

    def __init__(self, database: Database, engine: Engine) -> None:
        self.engine = engine
        self.store = Store(database)
        self._adapters = main.known_adapters()

    def take(self, batch: Sequence[Message]) -> Written:
        """One batch, committed."""
        return self.store.write(steps.prepare(self.store, self._adapters, batch))

    def send(self, topic: str, body: Any, at: datetime) -> Written:
        """One message received at a time."""
        return self.take([message(topic, body, at)])

    def renew(self) -> None:
        """Wait until it knows what was applied a moment ago."""
        patience = time.monotonic() + 60
        while not self.store.refresh():
            assert time.monotonic() < patience
            time.sleep(0.02)

    def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(sql), values).mappings()]

    def counted(self) -> dict[str, int]:
        """The ledger's sums by kind, without those that have come to nothing."""
        found = self.rows("SELECT kind, sum(n) AS n FROM ledger GROUP BY kind")
        return {row["kind"]: int(row["n"]) for row in found if row["n"]}


def message(topic: str, body: Any, at: datetime) -> Message:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message(topic, raw, at)


@contextmanager
def writing(database: Database, engine: Engine) -> Iterator[Ingest]:
    made = Ingest(database, engine)
    yield made
    made.store.close()


def batches(messages: Sequence[Message], size: int) -> Iterable[Sequence[Message]]:
    return (messages[i : i + size] for i in range(0, len(messages), size))
