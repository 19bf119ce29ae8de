"""A few runs of `make chaos`, and that its account can fail."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from tests.chaos import balance, runs
from tests.chaos.load import Load
from tests.chaos.stands import Stands

KILLED = 27  # NATS, ingest and PostgreSQL, and a line that is held
FULL = 770  # Mosquitto: no room in the spool, ingest killed, PostgreSQL paused
MESSAGES = 1500


@pytest.fixture(scope="module")
def stands() -> Iterator[Stands]:
    made = Stands()
    yield made
    made.close()


@pytest.mark.parametrize("seed", [KILLED, FULL, pytest.param(13, marks=pytest.mark.long)])
def test_what_was_acknowledged_is_stored_once_or_rejected_whatever_happens(
    stands: Stands, seed: int
) -> None:
    on = stands.of(seed)
    found = runs.run(on, seed, MESSAGES)
    assert found.published == MESSAGES
    assert found.holds, found
    assert on.stack.told("spool_full") == (seed != KILLED)


def test_a_lost_a_doubled_and_a_miscounted_message_are_found(stands: Stands) -> None:
    on = stands.of(KILLED)
    engine = on.engine
    load = Load(on.stack.mqtt, f"chaos{KILLED}", KILLED, MESSAGES, runs.PER_S)
    load.acked |= _marks(engine, load.site)

    def after(change: str) -> balance.Balance:
        with engine.begin() as connection:
            changed = connection.execute(text(change))
            assert changed.rowcount == 1
        return balance.settled(on.stack, engine, load, patience_s=0)

    one = "(SELECT uplink_id FROM uplink WHERE topic LIKE 'livinglab/chaos27/%' LIMIT 1)"
    again = "now() - interval '1 day', received_at, source_id, device_id, topic, payload"
    doubled = after(
        "INSERT INTO uplink (uplink_id, observed_at, received_at, source_id, device_id, topic,"
        f" payload) SELECT uplink_id, {again} FROM uplink WHERE uplink_id = {one}"
    )
    assert (doubled.lost, doubled.duplicated) == (0, 1)
    after("DELETE FROM uplink WHERE observed_at > now() - interval '2 days'")
    assert after(f"DELETE FROM uplink WHERE uplink_id = {one}").lost == 1
    own = "SELECT source_id FROM uplink WHERE topic LIKE 'livinglab/chaos27/%' LIMIT 1"
    cell = f"SELECT ctid FROM ledger WHERE kind = 'stored' AND source_id = ({own}) LIMIT 1"
    assert after(f"UPDATE ledger SET n = n + 2 WHERE ctid = ({cell})").unbalanced == 2


def _marks(engine: Engine, site: str) -> set[str]:
    with engine.connect() as connection:
        return {
            mark
            for sql in (balance.STORED, balance.REJECTED)
            for mark in balance.marks(connection, site, sql)
        }
