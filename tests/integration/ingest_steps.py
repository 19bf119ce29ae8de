"""Ingest's own steps without a broker: the one place in tests that knows how to call them."""

import time
import tracemalloc
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from services.ingest import batch as batches
from services.ingest import main
from services.ingest.store import Store
from services.ingest.uplink import Message
from shared.settings import Database


class Outcome(NamedTuple):
    """Where the messages of one batch went, and under which reasons some were refused."""

    stored: int
    repeats: int
    rejected: int
    reasons: list[str]


class Steps:
    """One worker's way from a batch of messages to the commit after which they are acknowledged."""

    def __init__(self, database: Database) -> None:
        self._store = Store(database)
        self._adapters = main.known_adapters()

    def push(self, messages: Sequence[Message]) -> Outcome:
        """Write one batch: as the loop does, but that it acknowledges nothing."""
        self._store.refresh()
        batch = batches.prepare(self._store, self._adapters, messages)
        reasons = [prepared.refused.reason for prepared in batch if prepared.refused]
        return Outcome(*self._store.write(batch), reasons)

    def seconds(self, each: Message) -> float:
        """Processor time of one message up to the database."""
        began = time.thread_time()
        batches.prepare(self._store, self._adapters, [each])
        return time.thread_time() - began

    def memory(self, each: Message) -> int:
        """The most bytes held at once for one message up to the database."""
        tracemalloc.start()
        batches.prepare(self._store, self._adapters, [each])
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    def applied(self) -> None:
        """Wait until a site that was just applied is known here too."""
        deadline = time.monotonic() + 30
        while not self._store.refresh():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def close(self) -> None:
        self._store.close()


def message(topic: str, payload: bytes, received_at: datetime) -> Message:
    """A message as any inlet hands it over."""
    return Message(topic, payload, received_at)
