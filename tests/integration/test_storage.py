"""Old data: raw records go, readings are compressed and stay what they were."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import make_url

from services.analytics import compression, retention, series
from services.analytics.runner import Progress, Slice
from services.analytics.series import Derived, Replacement
from services.cli import backup
from shared.db import migrate, timescale
from shared.db.engine import connect, sync_engine
from shared.domain.quality import Quality
from shared.settings import Database, Retention
from tests.integration import analytics_site as world
from tests.integration.test_backup import checksums

pytestmark = pytest.mark.database
COMMUNITY = os.environ.get("LAB_TEST_TIMESCALE_URL")
NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
KEPT = Retention()
Work = Callable[[Connection, Progress], Slice]


def finish(engine: Engine, work: Work) -> int:
    """Run slices until no work waits, each in its own transaction; returns how many."""
    progress: Progress = {}
    for slices in range(1, 100):
        with engine.begin() as connection:
            done = work(connection, progress)
        if not done.more:
            return slices
        progress = done.progress
    raise AssertionError("never done")


def prune(engine: Engine, kept: Retention = KEPT, now: datetime = NOW) -> int:
    return finish(engine, lambda c, progress: retention.work(c, progress, (), kept, now))


def compress(engine: Engine, kept: Retention = KEPT, now: datetime = NOW) -> int:
    return finish(engine, lambda c, progress: compression.work(c, progress, kept, now))


def uplink(engine: Engine, observed: datetime, received: datetime) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO uplink (uplink_id, observed_at, received_at, source_id, device_id,
                                    topic, payload)
                VALUES (gen_random_uuid(), :observed, :received, 1, 1, 't', 'x')
            """),
            {"observed": observed, "received": received},
        )


def observed(engine: Engine) -> list[int]:
    """Age in days of each uplink's event."""
    found = world.rows(engine, "SELECT observed_at FROM uplink ORDER BY 1")
    return [(NOW - row["observed_at"]).days for row in found]


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


def fill(engine: Engine, days: int = 60) -> None:
    """Two gauges every half hour, until now."""
    with engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO reading
                SELECT t, id, round((2 + sin(extract(epoch FROM t) / 7000))::numeric, 2), 1
                FROM generate_series(CAST(:first AS timestamptz), :now, '30 min') AS t,
                     generate_series(1, 2) AS id
            """),
            {"first": NOW - days * DAY, "now": NOW},
        )


def test_other_editions_compress_nothing(engine: Engine) -> None:
    with engine.connect() as connection:
        if timescale.edition(connection) == "community":
            pytest.skip("this server compresses")
    fill(engine)
    assert compress(engine) == 1


@pytest.fixture
def community() -> Iterator[Callable[[str], Engine]]:
    """Makes migrated or empty databases on a TimescaleDB community server."""
    if COMMUNITY is None:
        pytest.skip("LAB_TEST_TIMESCALE_URL names no TimescaleDB community server")
    made: list[tuple[str, Engine]] = []

    def make(name: str) -> Engine:
        with connect(Database(url=COMMUNITY), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            admin.execute(f"CREATE DATABASE {name}")
        url = make_url(COMMUNITY).set(database=name).render_as_string(hide_password=False)
        engine = sync_engine(Database(url=url))
        made.append((name, engine))
        return engine

    yield make
    with connect(Database(url=COMMUNITY), autocommit=True) as admin:
        for name, engine in made:
            engine.dispose()
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def compressed(community: Callable[[str], Engine]) -> Engine:
    """60 days of readings and uplinks, compressed but for the last 14 days."""
    engine = community("lab_test_compressed")
    migrate.upgrade(engine)
    engine.dispose()  # settings of the database hold for new connections
    fill(engine)
    for age in (50, 40, 3):
        uplink(engine, NOW - age * DAY, NOW - age * DAY)
    with engine.connect() as connection:
        before = checksums(connection)
    assert compress(engine) > 3
    with engine.connect() as connection:
        assert checksums(connection) == before
    return engine


def waiting(engine: Engine, table: str, days: int = 14) -> list[str]:
    with engine.connect() as connection:
        return timescale.uncompressed(connection, table, NOW - days * DAY)


def test_chunks_older_than_14_days_are_compressed_and_read_the_same(compressed: Engine) -> None:
    assert waiting(compressed, "reading") == waiting(compressed, "uplink") == []
    assert waiting(compressed, "reading", days=0), "the newest stay as they are"
    assert compress(compressed) == 1  # nothing is done twice
    assert migrate.upgrade(compressed) == []
    migrate.check(compressed)


def test_what_comes_late_joins_compressed_chunks_once(compressed: Engine) -> None:
    late = NOW - 45 * DAY + timedelta(minutes=7)
    with compressed.begin() as connection:
        for at, value in ((late, 1.5), (late, 2.5), (NOW - 45 * DAY, 99.0)):
            connection.execute(
                text("INSERT INTO reading VALUES (:at, 1, :value, 1) ON CONFLICT DO NOTHING"),
                {"at": at, "value": value},
            )
    found = world.rows(
        compressed,
        "SELECT value FROM reading WHERE datastream_id = 1 AND time BETWEEN :a AND :b"
        " ORDER BY time",
        a=NOW - 45 * DAY,
        b=late,
    )
    assert [row["value"] for row in found][1:] == [1.5]
    assert found[0]["value"] < 4
    assert len(waiting(compressed, "reading")) == 1
    compress(compressed)
    assert waiting(compressed, "reading") == []


def test_derived_readings_are_replaced_in_compressed_chunks(compressed: Engine) -> None:
    """Only the segments concerned are opened again."""
    start = NOW - 45 * DAY
    kept = Derived(start + timedelta(hours=1), 7.0, Quality.GOOD)
    with compressed.begin() as connection:
        connection.execute(
            text("DELETE FROM reading WHERE datastream_id = 1 AND time >= :at"), {"at": start + DAY}
        )
    compress(compressed)
    with compressed.begin() as connection:
        series.replace(connection, [Replacement(1, start, [kept])])
    found = world.rows(
        compressed, "SELECT * FROM reading WHERE datastream_id = 1 AND time >= :at", at=start
    )
    assert [(row["time"], row["value"]) for row in found] == [(kept.time, 7.0)]
    (opened,) = waiting(compressed, "reading")
    with compressed.connect() as connection:
        loose = connection.scalars(text(f"SELECT DISTINCT datastream_id FROM ONLY {opened}")).all()
    assert loose == [1]


def test_any_number_of_late_readings_may_open_compressed_chunks(compressed: Engine) -> None:
    """TimescaleDB's own limit of 100,000 rows a transaction would refuse a batch."""
    with compressed.connect() as connection:
        limit = "SHOW timescaledb.max_tuples_decompressed_per_dml_transaction"
        assert connection.scalar(text(limit)) == "0"


def test_compressed_uplinks_go_as_others_do(compressed: Engine) -> None:
    prune(compressed, now=NOW + 55 * DAY)
    assert observed(compressed) == [3]


def test_a_dump_with_compressed_chunks_comes_back(
    compressed: Engine, community: Callable[[str], Engine], tmp_path: Path
) -> None:
    file, copy = tmp_path / "lab.dump", community("lab_test_copy")
    with backup.frozen(compressed) as (then, snapshot):
        backup.dump(compressed, file, snapshot)
        expected = checksums(then)
    backup.restore(copy, file)
    with copy.connect() as connection:
        assert checksums(connection) == expected
        assert timescale.uncompressed(connection, "reading", NOW - 14 * DAY) == []


def test_compressed_chunks_are_refused_by_other_editions(
    compressed: Engine, new_database: Callable[[str], Database], tmp_path: Path
) -> None:
    file, elsewhere = tmp_path / "lab.dump", sync_engine(new_database("lab_test_other_edition"))
    with elsewhere.connect() as connection:
        community = timescale.compresses(connection)
    if community:
        elsewhere.dispose()
        pytest.skip("the other server is community too")
    with backup.frozen(compressed) as (_, snapshot):
        backup.dump(compressed, file, snapshot)
    with pytest.raises(backup.BackupRefused, match=r"TimescaleDB|PostgreSQL|compressed"):
        backup.restore(elsewhere, file)
    elsewhere.dispose()
