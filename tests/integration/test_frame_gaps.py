"""Missing frame counters: joins, roll-overs, new starts, late frames, retention, two workers."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, text

from services.ingest import main, rejects
from services.ingest.task import Desk, Task
from services.ingest.uplink import Message
from shared.db import ledger
from shared.settings import Database
from tests.integration.test_ingest_path import APPLICATION, EUI, chirpstack_up, site
from tests.integration.written import Ingest, batches, message, writing

pytestmark = pytest.mark.database
START = datetime(2026, 3, 1, 6, 59, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def ingest(database: Database, engine: Engine, apply_site: Callable[..., Any]) -> Iterator[Ingest]:
    apply_site(site())
    with writing(database, engine) as made:
        yield made


def event(kind: str, at: datetime, received: datetime | None = None, **over: Any) -> Message:
    body = chirpstack_up(time=at.isoformat(), deduplicationId=f"{kind}{at}{over}", **over)
    topic = f"application/{APPLICATION}/device/{EUI}/event/{kind}"
    return message(topic, body, received or at)


def frames(counters: Sequence[int | str], step: timedelta = MINUTE) -> list[Message]:
    """A frame of each counter, or a join, one step after the other."""
    times = [START + i * step for i in range(len(counters))]
    return [
        event("up", at, fCnt=each) if isinstance(each, int) else event(each, at)
        for at, each in zip(times, counters, strict=True)
    ]


def gaps(ingest: Ingest) -> int:
    return ingest.counted().get("frame_gap", 0)


@pytest.mark.parametrize(
    ("counters", "expected"),
    [
        ([7, 8, 9], 0),
        ([7, 8, 12], 3),
        ([5000], 0),  # what came before the first is not known to be missing
        ([7, 9, 9, 10], 1),  # a frame repeated under another id
        ([40, 42, "join", 0, 1, 4], 3),
        ([40, 42, "join", "join", 3], 1),
        ([900, 901, 0, 1], 0),  # switched off and on without a join
        ([900, 902, 1, 3], 2),
        ([65533, 65535, 0, 2], 2),
        ([65530, 5], 10),
        ([65535, 65536, 65538], 1),  # the network server counts in 32 bits
        ([2**32 - 2, 1], 2),
        ([60000, 0], 0),  # too far from the end for a roll-over
    ],
)
def test_gaps_are_counted_between_frames_of_one_session(
    ingest: Ingest, counters: list[int | str], expected: int
) -> None:
    for each in frames(counters):
        ingest.take([each])
    assert gaps(ingest) == expected


def test_a_frame_overtaken_within_seconds_is_not_missing(ingest: Ingest) -> None:
    ingest.take(frames([10, 12, 11, 13], timedelta(seconds=1)))
    assert gaps(ingest) == 0


def test_a_late_frame_fills_the_gap_in_the_hour_that_counted_it(ingest: Ingest) -> None:
    one, two, three, four, five, six = frames([1, 2, 3, 4, 5, 6])
    ingest.take([one, six])
    hours = "SELECT hour, device_id, n FROM ledger WHERE kind = 'frame_gap' AND n <> 0"
    (cell,) = ingest.rows(hours)
    assert (cell["hour"], cell["n"]) == (START.replace(hour=7, minute=0), 4)
    late = [event("up", START + i * MINUTE, START + timedelta(days=1), fCnt=i + 1) for i in (2, 3)]
    ingest.take([late[1]])
    assert gaps(ingest) == 3
    ingest.take([late[0], two, two])
    assert gaps(ingest) == 1
    ingest.take([five, three, four])  # three and four are repeats by now
    assert gaps(ingest) == 0
    assert ingest.rows(hours) == []


def lossy(chance: random.Random, length: int) -> tuple[list[Message], int]:
    """What arrives of a device that joins now and then, and by plain counting what is missing."""
    arrived: list[Message] = []
    missing, counter, last, at = 0, 0, None, START
    for _ in range(length):
        at += timedelta(seconds=chance.randint(30, 900))
        if chance.random() < 0.04:
            counter, last = 0, None
            arrived.append(event("join", at))
            continue
        if chance.random() < 0.7:
            missing += counter - last - 1 if last is not None else 0
            arrived.append(event("up", at, fCnt=counter))
            last = counter
        counter += 1
    return arrived, missing


@pytest.mark.parametrize("seed", range(6))
def test_the_order_of_arrival_the_size_of_batches_and_who_writes_them_change_nothing(
    ingest: Ingest, database: Database, engine: Engine, seed: int
) -> None:
    chance = random.Random(seed)
    arrived, missing = lossy(chance, 150)
    assert missing > 10
    chance.shuffle(arrived)
    arrived += chance.sample(arrived, 20)
    with writing(database, engine) as other:
        for batch in batches(arrived, chance.choice([1, 7, 40])):
            chance.choice([ingest, other]).take(batch)
    assert gaps(ingest) == missing


def test_what_was_not_committed_is_not_remembered(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise psycopg.OperationalError("the line is cut")

    sent = frames([1, 3, 9])
    with monkeypatch.context() as broken:
        broken.setattr(rejects, "count", fail)
        with pytest.raises(psycopg.OperationalError):
            ingest.take(sent)
    ingest.take(sent[:1])
    assert gaps(ingest) == 0
    ingest.take([event("up", START + timedelta(hours=1), fCnt=2)])
    assert gaps(ingest) == 0


def test_a_task_that_is_rolled_back_is_not_remembered(ingest: Ingest, database: Database) -> None:
    with closing(Desk(database, main.known_adapters(), threading.Event())) as desk:
        task = Task(-1, {}, None, START, {})
        sent = frames([1, 3, 20])
        with suppress(InterruptedError), desk.slice(task):
            desk.write(desk.prepare(sent))
            raise InterruptedError
        with desk.slice(task):
            desk.write(desk.prepare(sent[:1]))
    assert gaps(ingest) == 0
    ingest.take([event("up", START + timedelta(hours=1), fCnt=2)])
    assert gaps(ingest) == 0


def test_what_was_counted_outlives_the_raw_log(ingest: Ingest, engine: Engine) -> None:
    ingest.take(frames([1, 4, 9]))
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM uplink"))
    assert gaps(ingest) == 6
    ingest.take([event("up", START + timedelta(hours=1), fCnt=12)])  # the chain goes on
    assert gaps(ingest) == 8
    # Nobody can tell any more whether this one was missing: the frame before it is gone.
    ingest.take([event("up", START + timedelta(minutes=30), fCnt=11)])
    assert gaps(ingest) == 8


def test_the_newest_frame_that_comes_again_once_it_was_pruned_changes_nothing(
    ingest: Ingest, engine: Engine
) -> None:
    sent = frames([7, 9, 12])
    ingest.take(sent)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE uplink"))
    assert ingest.take(sent[2:]).stored == 1
    assert gaps(ingest) == 3
    assert ingest.take(sent).stored == 2  # it ends; their gaps are counted once more


def test_two_workers_count_one_device_together(
    ingest: Ingest, database: Database, engine: Engine
) -> None:
    with writing(database, engine) as other:
        for i, each in enumerate(frames([1, 3, 5, 7, 9])):
            (ingest, other)[i % 2].take([each])
    assert gaps(ingest) == 4


def test_the_ledger_tells_gaps_beside_the_equation(ingest: Ingest, engine: Engine) -> None:
    ingest.take(frames([1, 4, 9]))
    with engine.connect() as connection:
        totals = ledger.totals(connection)
        cells = ledger.cells(connection, device="radio")
    assert (totals.stored, totals.rejected, totals.frame_gaps) == (3, 0, 6)
    told = Counter({cell.hour.hour: cell.frame_gaps for cell in cells})
    assert told == {6: 0, 7: 6}
