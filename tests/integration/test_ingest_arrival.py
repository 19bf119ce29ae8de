"""Straight into the tables or by way of a stage: the same rows, counts and cells."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from services.ingest import main, pipeline
from services.ingest.block import Block
from services.ingest.store import Store
from services.ingest.uplink import Message
from services.ingest.writer import Written
from shared.settings import Database
from tests.integration.test_ingest_path import NOW
from tests.integration.test_site_apply import changed

pytestmark = pytest.mark.database


@pytest.fixture
def store(database: Database, apply_site: Callable[..., Any]) -> Iterator[Store]:
    apply_site(changed("site.zone", "Asia/Kathmandu"))  # 5 h 45 min
    made = Store(database)
    yield made
    made.close()


def write(store: Store, *values: tuple[int, float]) -> Written:
    """One batch: minutes before now, and a level."""
    batch = []
    for minutes, level in values:
        body = {
            "time": (NOW - timedelta(minutes=minutes)).isoformat(),
            "id": f"{minutes}:{level}",
            "values": {"level": level},
        }
        message = Message("livinglab/cibinong/g1/up", json.dumps(body).encode(), NOW)
        batch.append(pipeline.prepare(message, store.fleet, main.known_adapters()))
    return store.write(Block(batch))


def levels(engine: Engine) -> list[float]:
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT value * 100 FROM reading ORDER BY time DESC")))


def test_a_batch_goes_straight_until_one_meets_what_is_known(store: Store, engine: Engine) -> None:
    known = store._memory.collided
    assert write(store, (0, 10), (1, 11)) == Written(2, 0, 0)
    assert known == set()
    assert write(store, (1, 11), (2, 12)) == Written(1, 1, 0)
    assert known == {"uplink", "reading"}
    assert write(store, (3, 13), (4, 14)) == Written(2, 0, 0)
    assert known == set(), "what was staged was new: the next goes straight again"
    assert write(store, (5, 15), (5, 15)) == Written(1, 1, 0)
    assert levels(engine) == pytest.approx([10, 11, 12, 13, 14, 15])


def test_an_uplink_that_is_new_with_a_reading_that_is_not_is_a_conflict(
    store: Store, engine: Engine
) -> None:
    write(store, (0, 10))
    assert write(store, (0, 20), (1, 11)) == Written(2, 0, 0)
    assert store._memory.collided == {"reading"}
    assert levels(engine) == pytest.approx([10, 11])
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT n FROM ledger WHERE kind = 'item:conflict'")) == 1


def test_both_ways_cut_hours_as_the_database_does(store: Store, engine: Engine) -> None:
    minutes = [(each, 1.0) for each in range(0, 180, 7)]
    write(store, *minutes)
    store._memory.collided |= {"uplink", "reading"}
    write(store, *((each + 10_080, 1.0) for each, _ in minutes))
    with engine.connect() as connection:
        straight, staged = (
            set(row) for row in connection.scalars(text("SELECT hours FROM change"))
        )
        expected = set(
            connection.scalars(
                text("SELECT DISTINCT date_trunc('hour', time, 'Asia/Kathmandu') FROM reading")
            )
        )
    assert straight | staged == expected
    assert {hour.minute for hour in expected} == {15}
    assert _later(staged) == straight


def _later(hours: set[datetime]) -> set[datetime]:
    return {hour + timedelta(days=7) for hour in hours}


def test_what_no_table_can_hold_is_refused_alone(store: Store, engine: Engine) -> None:
    batch = []
    for value in (1, 2, 3):
        body = {"time": NOW.isoformat(), "id": str(value), "values": {"level": 10}}
        message = Message("livinglab/cibinong/g1/up", json.dumps(body).encode(), NOW)
        batch.append(pipeline.prepare(message, store.fleet, main.known_adapters()))
    assert batch[1].uplink
    batch[1].uplink.f_cnt = 2**70
    assert store.write(Block(batch)) == Written(2, 0, 1)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT reason FROM rejected")) == "db_refused"
