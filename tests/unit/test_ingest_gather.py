"""Gathering a batch: bounded by messages and by bytes."""

import queue
from datetime import UTC, datetime

from services.ingest.batch import MOST_BYTES, gather
from services.ingest.uplink import Message
from shared.settings import Ingest


def waiting(count: int, size: int) -> "queue.SimpleQueue[Message]":
    inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
    for _ in range(count):
        inbox.put(Message("a/b", bytes(size), datetime(2026, 1, 1, tzinfo=UTC)))
    return inbox


def test_a_batch_holds_no_more_messages_than_set() -> None:
    assert len(gather(waiting(9, 10), Ingest(batch_size=4))) == 4


def test_a_batch_of_large_messages_ends_before_the_database_refuses_its_size() -> None:
    assert len(gather(waiting(9, MOST_BYTES // 4), Ingest(batch_size=9))) == 4


def test_a_batch_is_half_of_what_nats_lets_be_under_way_and_more_at_its_queue() -> None:
    queue_ = Ingest(source="jetstream", nats_url="nats://worker:secret@one:4222")
    assert len(gather(waiting(3000, 10), Ingest())) == 1000
    assert len(gather(waiting(3000, 10), queue_)) == 2000
