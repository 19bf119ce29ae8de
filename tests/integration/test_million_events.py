"""A million messages, repeated, contradicting, late, out of order, beside a model of the rules."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from services.analytics import rollup
from services.analytics.runner import run_slice
from shared.settings import Database
from tests.integration import event_city as city
from tests.integration.event_model import Model, Told
from tests.integration.event_stream import Stream
from tests.integration.event_tables import Tables
from tests.integration.ingest_steps import Steps, message
from tests.seed import TOLD, drawing

pytestmark = pytest.mark.database
Apply = Callable[[object], list[str]]
Delivery = tuple[datetime, Told]


class Run:
    """Pushes batches through ingest and tells the model the same."""

    def __init__(self, database: Database, engine: Engine, apply: Apply) -> None:
        self.engine, self._apply = engine, apply
        self.model, self.clock, self.pushed = Model(city.ZONES), city.START, 0
        self.register(late=False)
        self.steps = Steps(database)

    def close(self) -> None:
        self.steps.close()

    def advance(self, batch: list[Delivery]) -> None:
        """To the arrival of the batch; registers what is late when its time has come."""
        self.clock = max(self.clock, *(at for at, _ in batch))
        if self.clock >= city.LATE_FROM and not self.late:
            self.register(late=True)
            self.steps.applied()

    def register(self, *, late: bool) -> None:
        for site in city.ZONES:
            self._apply(city.site_file(site, late=late))
        self.model.owners = city.owners(late=late)
        self.late = late

    def push(self, batch: list[Told], draw: random.Random) -> None:
        """The clock goes on; some messages of a batch have the same moment of arrival."""
        messages = []
        for told in batch:
            self.clock += timedelta(microseconds=draw.randint(0, 1))
            messages.append(message(told.topic, told.payload, self.clock))
        expected = [
            self.model.take(told, m.received_at) for told, m in zip(batch, messages, strict=True)
        ]
        got = self.steps.push(messages)
        counts = [expected.count(kind) for kind in ("stored", "repeat", "rejected")]
        assert [*got[:3]] == counts, TOLD
        self.pushed += len(batch)

    def follow(self) -> None:
        while run_slice(self.engine, rollup.JOB):
            pass


def batches(deliveries: Iterable[Delivery], draw: random.Random) -> Iterator[list[Delivery]]:
    """From one message to four thousand, each batch shuffled, and batches overtaking each other."""
    held: list[list[Delivery]] = []
    batch: list[Delivery] = []
    size = 1
    for each in deliveries:
        batch.append(each)
        if len(batch) >= size:
            draw.shuffle(batch)
            held.append(batch)
            batch, size = [], round(4000 ** draw.random())
            if len(held) > 3:
                yield held.pop(draw.randrange(len(held)))
    yield from filter(None, [*held, batch])


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("events", [20_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_tables_equal_a_model_of_the_rules(
    events: int, database: Database, engine: Engine, apply_site: Apply
) -> None:
    draw = drawing("events", events)
    with closing(Run(database, engine, apply_site)) as run:
        for batch in batches(Stream(draw, round(events / 1.2)).deliveries(), draw):
            run.advance(batch)
            told = [each for _, each in batch]
            run.push(told, draw)
            if draw.random() < 0.15:  # as after a crash before the acknowledgement
                run.push(told[: draw.randint(1, len(told))], draw)
            if draw.random() < 0.1:
                run.follow()
        run.follow()
    assert run.pushed >= events, TOLD
    require_equal(run.model, Tables(engine, database))


def require_equal(model: Model, tables: Tables) -> None:
    """Row by row, so that a million of them are held once."""
    readings = model.readings
    same("latest", asyncio.run(tables.latest()), ((*s, *r) for s, r in model.latest().items()))
    same("hourly", tables.hourly(), ((*cell, *row) for cell, row in model.hourly().items()))
    same("uplink", tables.uplinks(), ((k[0], k[-1], *row) for k, row in model.uplinks.items()))
    same(
        "reading",
        tables.readings(),
        ((*s, time, *row) for s, times in readings.items() for time, row in times.items()),
    )
    same("rejected", tables.refused(), ((*k, *row) for k, row in model.refused.items()))
    same("items", tables.items(), model.items.values())
    same("ledger", tables.ledger(), ((*k, n) for k, n in model.ledger.items() if n))


def same(what: str, found: Iterable[Any], expected: Iterable[Any]) -> None:
    """Equal rows, each as often; tells the first differences and the seed."""
    left = Counter(expected)
    left.subtract(found)
    wrong = itertools.islice(((row, n) for row, n in left.items() if n), 6)
    told = [f"{'missing' if n > 0 else 'unexpected'}: {row}" for row, n in wrong]
    assert not told, f"{what}: {told}; {TOLD}"
