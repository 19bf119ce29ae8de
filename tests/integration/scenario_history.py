"""A scenario's past through ingest without a broker."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice, takewhile

from sqlalchemy import Engine

from services.ingest import pipeline
from services.ingest.block import Block
from services.ingest.main import known_adapters
from services.ingest.store import Store
from services.ingest.uplink import Message
from shared.db import sites
from shared.settings import Database
from shared.site_file import parse
from simulators.message import Timed
from simulators.scenario import Scenario

BATCH = 5_000


def apply(engine: Engine, scenario: Scenario, anchor: datetime) -> None:
    """Apply the scenario's sites."""
    with engine.begin() as connection:
        for content in scenario.site_files(anchor):
            sites.apply(connection, parse(content))


def ingest(database: Database, messages: Iterable[Timed], now: datetime) -> int:
    """Prepare and write every message due before `now`, as if all arrived then; their number."""
    store, adapters, count = Store(database), known_adapters(), 0
    try:
        for batch in _batches(takewhile(lambda timed: timed.due < now, messages)):
            arrived = [Message(t.message.topic, t.message.payload, now) for t in batch]
            store.write(Block(pipeline.prepare(each, store.fleet, adapters) for each in arrived))
            count += len(batch)
    finally:
        store.close()
    return count


def _batches(messages: Iterable[Timed]) -> Iterator[list[Timed]]:
    left = iter(messages)
    while batch := list(islice(left, BATCH)):
        yield batch
