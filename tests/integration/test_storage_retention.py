"""What is kept for a while only goes when it is old, counted from its arrival."""

import pytest
from sqlalchemy import Engine, text

from services.analytics import retention
from shared.db import timescale
from shared.settings import Retention
from tests.integration import analytics_site as world
from tests.integration.storage_world import DAY, NOW, observed, prune, uplink

pytestmark = pytest.mark.database


def test_raw_uplinks_go_90_days_after_they_arrived(engine: Engine) -> None:
    for age in (200, 120, 101, 89, 1):
        uplink(engine, NOW - age * DAY, NOW - age * DAY)
    uplink(engine, NOW - 900 * DAY, NOW - DAY)  # recorded long ago, replayed yesterday
    uplink(engine, NOW - 119 * DAY, NOW - 60 * DAY)  # was late: on Timescale it keeps its chunk
    prune(engine)
    with engine.connect() as connection:
        late = [120, 119] if timescale.edition(connection) != "plain" else [119]
    assert observed(engine) == [900, *late, 89, 1]
    prune(engine, now=NOW + 31 * DAY)
    assert observed(engine) == [900, 1]
    prune(engine, now=NOW + 900 * DAY)
    assert observed(engine) == []


def test_zero_days_keep_them(engine: Engine) -> None:
    uplink(engine, NOW - 2000 * DAY, NOW - 2000 * DAY)
    prune(engine, Retention(uplink_days=0))
    assert len(observed(engine)) == 1


def test_rejects_go_after_30_days_and_the_ledger_still_counts_them(engine: Engine) -> None:
    with engine.begin() as connection:
        for age in (31, 29):
            connection.execute(
                text("""
                    INSERT INTO rejected (reject_id, received_at, source_id, scope, reason, detail,
                                          topic)
                    VALUES (gen_random_uuid(), :at, 1, 'message', 'bad_json', '', 't')
                """),
                {"at": NOW - age * DAY},
            )
        connection.execute(
            text("INSERT INTO ledger VALUES (1, NULL, :at, 'rejected:bad_json', 2)"), {"at": NOW}
        )
    prune(engine)
    assert len(world.rows(engine, "SELECT FROM rejected")) == 1
    assert world.rows(engine, "SELECT n FROM ledger") == [{"n": 2}]


def test_a_dump_in_progress_only_delays(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """pg_dump holds a lock on every table; a chunk is dropped when it has ended."""
    monkeypatch.setattr(retention, "LOCK_PATIENCE", "50ms")
    uplink(engine, NOW - 200 * DAY, NOW - 200 * DAY)
    with engine.connect() as connection:
        plain = timescale.edition(connection) == "plain"
    with engine.begin() as dumping:
        dumping.execute(text("SELECT FROM uplink"))
        prune(engine)
        assert len(observed(engine)) == (0 if plain else 1)
    prune(engine)
    assert observed(engine) == []
