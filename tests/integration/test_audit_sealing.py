"""Every committed row gets one place in one chain, whatever commits when and whoever seals."""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from services.analytics import main
from services.analytics.audit import job, seal
from services.analytics.runner import run_slice
from services.cli import backup
from shared.db import audit
from shared.db.engine import sync_engine
from shared.settings import Analytics, Audit, Database
from tests.bench.audit import FILL
from tests.integration import audit_world as world
from tests.integration.analytics_site import rows
from tests.integration.audit_world import KEY, NO_KEY, fill, found

pytestmark = pytest.mark.database
EACH = 60
MANY = 1_000_000 if "LAB_TEST_FULL" in os.environ else 20_000


def sealed_ids(engine: Engine) -> list[int]:
    return [row["audit_id"] for row in rows(engine, "SELECT audit_id FROM audit_seal ORDER BY seq")]


def test_a_row_is_sealed_though_an_older_transaction_still_runs(engine: Engine) -> None:
    """Neither is it waited for, nor is what it commits later stepped over."""
    with engine.connect() as old, old.begin() as transaction:
        audit.record_sync(old, world.entry(1))
        world.record(engine, 2, 3)
        world.sealed(engine)
        assert sealed_ids(engine) == [2, 3]
        transaction.commit()
    world.record(engine, 4)
    world.sealed(engine)
    assert sealed_ids(engine) == [2, 3, 1, 4]
    assert found(engine) == ("holds", None)


def test_what_was_rolled_back_leaves_no_gap(engine: Engine) -> None:
    world.record(engine, 1)
    with engine.connect() as connection:
        audit.record_sync(connection, world.entry(2))
        connection.rollback()
    world.record(engine, 3)
    world.sealed(engine)
    assert sealed_ids(engine) == [1, 3]
    assert found(engine) == ("holds", None)


def test_a_backlog_is_sealed_in_batches(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "BATCH", 7)
    monkeypatch.setattr(seal, "BATCH", 7)
    with engine.begin() as connection:  # one transaction, so that one xid spans batches
        connection.execute(FILL, {"first": 1, "last": 20})
    fill(engine, 3)
    assert sealed_ids(engine) == list(range(1, 24))
    assert found(engine) == ("holds", None)


def write_some(engine: Engine, number: int) -> None:
    chance = random.Random(number)
    for i in range(EACH):
        with engine.begin() as connection:
            audit.record_sync(connection, world.entry(i))
            if chance.random() < 0.3:  # commits long after its id was given
                time.sleep(chance.random() / 50)


def keep_sealing(engine: Engine, stop: threading.Event) -> None:
    """Not as the job: its row would let one in at a time."""
    while not stop.is_set():
        with engine.begin() as connection:
            at = seal.head(connection, KEY.keys, world.NOW)
            seal.seal(connection, at, KEY.keys, world.NOW, limit=5)


def test_writers_and_two_sealers_at_once_make_one_chain(engine: Engine) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor(6) as pool:
        sealers = [pool.submit(keep_sealing, engine, stop) for _ in range(2)]
        writers = [pool.submit(write_some, engine, number) for number in range(4)]
        done = wait(writers)
        stop.set()
    for each in (*done.done, *sealers):
        each.result()
    world.sealed(engine)
    assert sorted(sealed_ids(engine)) == list(range(1, 4 * EACH + 1))
    report = world.verified(engine)
    assert (report.broken, report.rows, report.unsealed) == (None, 4 * EACH, 0)


def test_with_nothing_new_nothing_is_written(engine: Engine) -> None:
    fill(engine)
    work = job.job(KEY)
    state = """
        SELECT (SELECT array_agg(xmin::text) FROM audit_head), (SELECT count(*) FROM audit_anchor),
               (SELECT count(*) FROM audit_seal), (SELECT ran_at FROM job WHERE name = 'audit')
    """
    for _ in range(3):
        run_slice(engine, work)
    before = rows(engine, state)
    for _ in range(3):
        assert not run_slice(engine, work)
    assert rows(engine, state) == before


def test_the_head_is_told_at_the_start_and_each_day_and_anchored_once(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(engine, 3)
    process = job.Sealer(KEY.keys, timedelta(days=1))
    capsys.readouterr()

    def told(hours: int) -> int:
        with engine.begin() as connection:
            process.work(connection, {}, world.NOW + timedelta(hours=hours))
        return capsys.readouterr().out.count("audit_head")

    assert [told(hours) for hours in (0, 1, 23, 24, 25)] == [1, 0, 0, 1, 0]
    anchors = "SELECT seq, signature IS NOT NULL AS signed FROM audit_anchor ORDER BY id"
    assert rows(engine, anchors) == [{"seq": 3, "signed": True}]
    world.record(engine, 4)
    assert [told(hours) for hours in (26, 48)] == [0, 1]
    assert rows(engine, anchors)[1:] == [{"seq": 4, "signed": True}]


def test_only_a_head_that_fits_the_key_is_gone_on_from(engine: Engine) -> None:
    fill(engine, 3, NO_KEY)
    with pytest.raises(seal.ChainBroken, match="head is not signed"):
        world.sealed(engine, KEY)
    with engine.begin() as connection:
        seal.adopt(connection, KEY.keys, world.NOW)
    fill(engine, 3, KEY)
    assert found(engine) == ("holds", None)
    with pytest.raises(seal.ChainBroken, match="another LAB_AUDIT_KEY"):
        world.sealed(engine, NO_KEY)
    newer = Audit(key="another-key-of-today", former_keys="known-to-the-test-only")
    fill(engine, 3, newer)
    assert found(engine, newer) == ("holds", None)
    assert found(engine, KEY)[0] == "anchor"


def test_a_head_that_is_gone_stops_the_sealer_until_somebody_has_looked(engine: Engine) -> None:
    fill(engine, 3)
    world.attack(engine, "DELETE FROM audit_head")
    world.record(engine, 4)
    with pytest.raises(seal.ChainBroken, match="head is gone"):
        world.sealed(engine)
    with engine.begin() as connection:
        assert seal.adopt(connection, KEY.keys, world.NOW).seq == 3
    world.sealed(engine)
    assert sealed_ids(engine) == [1, 2, 3, 4]
    assert found(engine) == ("holds", None)


def test_the_service_seals_each_second(database: Database, engine: Engine) -> None:
    stop = threading.Event()
    service = threading.Thread(
        target=main.run,
        args=(database, Analytics(every_s=600), stop),
        kwargs={"audit": KEY},
    )
    service.start()
    try:
        for number in (1, 2):
            world.record(engine, number)
            deadline = time.monotonic() + 30
            while len(sealed_ids(engine)) < number:
                assert time.monotonic() < deadline
                time.sleep(0.05)
    finally:
        stop.set()
        service.join()
    assert found(engine) == ("holds", None)


@pytest.fixture
def elsewhere(new_database: Callable[[str], Database]) -> Iterator[Engine]:
    engine = sync_engine(new_database("lab_test_audit_restored"))
    yield engine
    engine.dispose()


def test_a_restored_copy_holds_and_goes_on(
    engine: Engine, elsewhere: Engine, tmp_path: Path
) -> None:
    fill(engine, 3)
    world.record(engine, 4)
    # As of a cluster far ahead: no transaction of the copy comes near it.
    world.attack(
        engine,
        "UPDATE audit SET xid = '4000000000'",
        "UPDATE audit_head SET passed_xid = '4000000000', passed_id = 3",
    )
    file = tmp_path / "lab.dump"
    with backup.frozen(engine) as (_, snapshot):
        backup.dump(engine, file, snapshot)
    backup.restore(elsewhere, file)
    world.record(elsewhere, 5)
    world.sealed(elsewhere)
    assert sealed_ids(elsewhere) == [1, 2, 3, 4, 5]
    assert found(elsewhere) == ("holds", None)


@pytest.mark.timeout(900)
def test_many_rows_are_sealed_and_verified(engine: Engine) -> None:
    """Several batches of the sealer and pages of the verifier; a million in `make test-full`."""
    with engine.begin() as connection:
        connection.execute(FILL, {"first": 1, "last": MANY})
    world.sealed(engine)
    report = world.verified(engine)
    assert (report.broken, report.rows, report.unsealed) == (None, MANY, 0)
    place = MANY // 2
    world.attack(engine, f"UPDATE audit SET why = 'other' WHERE id = {place}")
    assert found(engine) == ("changed", place)
