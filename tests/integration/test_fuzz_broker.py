"""Odd messages through a real broker: what it acknowledges is counted, the rest it hangs up on."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from shared.domain import topic as topics
from shared.embedded.nats import Broker
from shared.settings import Database, Mqtt
from tests.integration import fuzzed_site
from tests.integration.ingest_bench import Bench, ingesting
from tests.integration.mutation import Mutator
from tests.integration.odd_topics import LONGEST, odd_topic
from tests.integration.raw_mqtt import RawPublisher
from tests.seed import FULL, TOLD, drawing

pytestmark = pytest.mark.database
MESSAGES = 2000 if FULL else 300
FILTERS = [each for filters in fuzzed_site.FILTERS.values() for each in filters]
UP = b"livinglab/city/g1/up"
# What no broker may take: MQTT 3.1.1 sections 1.5.3, 3.3.2.1 and 4.7.3, and NATS's own limit.
FORBIDDEN = [
    (b"", b"{}"),
    (b"livinglab/city/+/up", b"{}"),
    (b"livinglab/#", b"{}"),
    (b"livinglab/city/\0/up", b"{}"),
    (UP, b'"' + b"x" * 2**20 + b'"'),
    (UP, b"[" * 3 * 2**20),
]


def odd(count: int) -> list[tuple[bytes, bytes]]:
    """Topics as bytes: some of them no text at all."""
    draw = drawing("broker")
    base = [each for adapter in fuzzed_site.FILTERS for each in fuzzed_site.sound(adapter)]
    mutator = Mutator(draw, [body for _, body in base], large_every=2000)
    made = []
    for _ in range(count):
        topic, body = draw.choice(base)
        if draw.random() < 0.5:
            topic = odd_topic(draw, topic)
        named = topic.encode(errors="surrogatepass")
        if draw.random() < 0.03:
            named += b"/\xff\xc0\x80"
        made.append((named[:LONGEST], mutator.mutate(body)))
    return made


def covered(topic: bytes) -> bool:
    """Whether ingest asked for it: what nobody asked for, the broker takes and drops."""
    text = topic.decode(errors="replace")
    return any(topics.matches(each, text) for each in FILTERS)


def test_what_the_broker_acknowledges_is_counted_and_the_rest_it_hung_up_on(
    database: Database,
    engine: Engine,
    broker: Broker,
    apply_site: Callable[[object], list[str]],
    tmp_path: Path,
) -> None:
    apply_site(fuzzed_site.content())
    with ingesting(database, engine, broker) as bench:
        publisher = RawPublisher(Mqtt(url=broker.url))
        assert [publisher.accepted(*each) for each in FORBIDDEN] == [False] * len(FORBIDDEN)
        sent = odd(MESSAGES)
        taken = [each for each in sent if publisher.accepted(*each)]
        due = sum(covered(topic) for topic, _ in taken)
        assert 0.5 * MESSAGES < due < MESSAGES, TOLD
        counted = bench.settle(due)
        assert total(counted) == due, TOLD
        assert "rejected:internal_error" not in counted, TOLD
        # It still serves who means well.
        assert publisher.accepted(UP, b'{"time": "2026-03-01T02:15:30Z", "values": {"level": 7}}')
        assert total(settled(bench, due + 1)) == due + 1, TOLD
        publisher.close()
    log = (tmp_path / "nats" / "nats.log").read_text(errors="replace")
    refused = len(FORBIDDEN) + len(sent) - len(taken)
    assert sum("[ERR]" in line and '"fuzz"' in line for line in log.split("\n")) == refused, TOLD


def total(counted: dict[str, int]) -> int:
    """Messages: items and unkeyed ones stand beside them."""
    whole = {"stored", "repeat"}
    return sum(n for kind, n in counted.items() if kind in whole or kind.startswith("rejected:"))


def settled(bench: Bench, messages: int) -> dict[str, int]:
    """And a moment later, when what is too much would have come too."""
    bench.settle(messages)
    time.sleep(0.5)
    return bench.counted()
