"""Mutated messages by the hundred thousand: none stops ingest, none slows it, each is counted."""

import statistics
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from sqlalchemy import Engine, text

from services.ingest.batch import MOST_BYTES
from services.ingest.uplink import Message
from shared.settings import Database
from tests.integration import fuzzed_site
from tests.integration.ingest_steps import Steps, message
from tests.integration.mutation import Mutator
from tests.integration.odd_topics import odd_topic
from tests.seed import TOLD, drawing

pytestmark = pytest.mark.database
NOW: Final = datetime(2026, 11, 22, 20, tzinfo=UTC)
BATCH: Final = 1000
SLOWEST: Final = 25  # times the median of sound messages, for each as many bytes as those have
LARGE: Final = 100_000  # bytes
FATTEST: Final = 150  # bytes held for each byte of a large message; a parser of JSON holds up to 80
_COUNTED: Final = text("""
    SELECT (SELECT coalesce(sum(n), 0) FROM ledger WHERE kind = 'stored')::int,
           (SELECT coalesce(sum(n), 0) FROM ledger WHERE kind = 'repeat')::int,
           (SELECT coalesce(sum(n), 0) FROM ledger WHERE kind LIKE 'rejected:%')::int,
           (SELECT count(*) FROM uplink) + (SELECT count(*) FROM feedback_raw)
               + (SELECT count(*) FROM rejected WHERE scope = 'message')
""")


def mutated(adapter: str, count: int) -> Iterator[list[Message]]:
    """Batches; one topic in twenty is odd, and one message in a hundred is sound."""
    draw, base = drawing("fuzz", adapter, count), fuzzed_site.sound(adapter)
    mutator = Mutator(draw, [body for _, body in base])
    batch: list[Message] = []
    size = 0
    for number in range(count):
        topic, body = draw.choice(base)
        if draw.random() > 0.01:
            body = mutator.mutate(body)
        if draw.random() < 0.05:
            topic = odd_topic(draw, topic)
        batch.append(message(topic, body, NOW + timedelta(microseconds=number)))
        size += len(body)
        if len(batch) == BATCH or size >= MOST_BYTES:  # as the loop gathers them
            yield batch
            batch, size = [], 0
    yield batch


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("count", [2_000, pytest.param(200_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("adapter", fuzzed_site.FILTERS)
def test_no_message_stops_or_slows_ingest_and_each_is_counted(
    adapter: str,
    count: int,
    database: Database,
    engine: Engine,
    apply_site: Callable[[object], list[str]],
) -> None:
    apply_site(fuzzed_site.content())
    with closing(Steps(database)) as steps:
        limits = Limits(steps, adapter)
        totals = [0, 0, 0]
        for batch in mutated(adapter, count):
            limits.require_kept(batch)
            outcome = steps.push(batch)
            assert "internal_error" not in outcome.reasons, f"{TOLD}: see the log"
            counts = outcome.stored, outcome.repeats, outcome.rejected
            assert sum(counts) == len(batch), TOLD
            totals = [n + m for n, m in zip(totals, counts, strict=True)]
    with engine.connect() as connection:
        stored, repeats, rejected, rows = connection.execute(_COUNTED).one()
    assert [stored, repeats, rejected] == totals, TOLD
    assert sum(totals) == count, TOLD
    assert rows == stored + rejected, TOLD


class Limits:
    """What one message may cost, by what sound ones cost on the same machine just now."""

    def __init__(self, steps: Steps, adapter: str) -> None:
        sound = [message(*each, NOW) for each in fuzzed_site.sound(adapter)]
        self._steps = steps
        self._seconds = statistics.median(steps.seconds(sound[i % len(sound)]) for i in range(300))
        self._bytes = statistics.median(len(each.payload) for each in sound)

    def require_kept(self, batch: list[Message]) -> None:
        for each in batch:
            size = len(each.topic) + len(each.payload)
            allowed = SLOWEST * self._seconds * max(1.0, size / self._bytes)
            if self._steps.seconds(each) > allowed:  # or the machine was elsewhere meanwhile
                fastest = min(self._steps.seconds(each) for _ in range(3))
                assert fastest <= allowed, f"{fastest} s for {shown(each)}; {TOLD}"
            if len(each.payload) > LARGE:
                held = self._steps.memory(each)
                assert held <= FATTEST * len(each.payload), (
                    f"{held} bytes for {shown(each)}; {TOLD}"
                )


def shown(each: Message) -> str:
    """Enough of a message to know it by."""
    return f"{each.topic[:100]!r} {each.payload[:300]!r}… ({len(each.payload)} bytes)"
