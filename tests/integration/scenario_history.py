"""A scenario's past through ingest without a broker."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice, takewhile

from sqlalchemy import Engine

from services.ingest import pipeline
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
    """Prepare and write every message as if it arrived `now`; returns how many there were."""
    store, adapters, count = Store(database), known_adapters(), 0
    try:
        for batch in _batches(messages):
            arrived = [Message(t.message.topic, t.message.payload, now) for t in batch]
            store.write([pipeline.prepare(each, store.fleet, adapters) for each in arrived])
            count += len(batch)
    finally:
        store.close()
    return count


def past(
    scenario: Scenario,
    anchor: datetime,
    now: datetime,
    seed: int = 1,
    wanted: Callable[[str], bool] = lambda _topic: True,
) -> Iterator[Timed]:
    """The messages due before `now` whose topic is wanted."""
    stream = takewhile(lambda timed: timed.due < now, scenario.messages(anchor, now, seed))
    return (timed for timed in stream if wanted(timed.message.topic))


def _batches(messages: Iterable[Timed]) -> Iterator[list[Timed]]:
    left = iter(messages)
    while batch := list(islice(left, BATCH)):
        yield batch
