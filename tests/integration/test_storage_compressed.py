"""Compressed readings stay what they were, take less, and take in what comes late."""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from services.analytics import compression, series
from services.analytics.runner import Progress
from services.analytics.series import Derived, Replacement
from services.cli import backup
from shared.db import migrate, sites, storage, timescale
from shared.db.engine import connect, sync_engine
from shared.domain.quality import Quality
from shared.settings import Database, Retention
from shared.site_file import parse
from tests.integration import analytics_site as world
from tests.integration.storage_world import DAY, NOW, compress, fill, observed, prune, uplink
from tests.integration.test_backup import checksums

pytestmark = pytest.mark.database
COMMUNITY = os.environ.get("LAB_TEST_TIMESCALE_URL")


def test_other_editions_compress_nothing(engine: Engine) -> None:
    with engine.connect() as connection:
        if timescale.edition(connection) == "community":
            pytest.skip("this server compresses")
    fill(engine)
    assert compress(engine) == 1


def datastreams(engine: Engine) -> None:
    """Two devices of different properties behind the readings of `fill`."""
    with engine.begin() as connection:
        sites.apply(connection, parse(world.site(("g1", "gauge"), ("m1", "meter"))))
    found = world.rows(engine, "SELECT id FROM datastream ORDER BY id")
    assert [row["id"] for row in found] == [1, 2]


def stored(engine: Engine) -> tuple[dict[str, storage.Stored], int]:
    with engine.connect() as connection:
        found = {each.property: each for each in storage.readings(connection)}
        return found, storage.tables(connection)["reading"]


def test_every_byte_of_the_readings_belongs_to_a_property(engine: Engine) -> None:
    datastreams(engine)
    fill(engine)
    found, size = stored(engine)
    assert set(found) == {"water_level", "water_volume_index"}
    parts = [each.plain for each in found.values()]
    assert sum(part.readings for part in parts) == 2 * (60 * 48 + 1)
    assert sum(part.bytes for part in parts) == pytest.approx(size, rel=0.05)
    assert 60 < (parts[0].each or 0) < 400  # small chunks: whole pages for few rows
    assert all(each.compressed.each is None for each in found.values())


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


def test_compressed_readings_take_less_and_still_every_byte_is_shared_out(
    compressed: Engine,
) -> None:
    datastreams(compressed)
    with compressed.begin() as connection:  # of the second, half its history is noise
        connection.execute(
            text("UPDATE reading SET value = random() WHERE datastream_id = 2 AND time < :at"),
            {"at": NOW - 30 * DAY},
        )
    compress(compressed)
    found, size = stored(compressed)
    parts = [part for each in found.values() for part in (each.plain, each.compressed)]
    assert sum(part.readings for part in parts) == 2 * (60 * 48 + 1)
    assert sum(part.bytes for part in parts) == pytest.approx(size, rel=0.05)
    smooth, noise = found["water_level"], found["water_volume_index"]
    assert 0 < (smooth.compressed.each or 0) < (noise.compressed.each or 0)


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


def test_what_keeps_arriving_in_one_chunk_holds_up_no_other(compressed: Engine) -> None:
    progress: Progress = {}
    late = NOW - 45 * DAY
    for turn in range(1, 10):
        with compressed.begin() as connection:
            for at in (late, NOW - 25 * DAY) if turn == 1 else (late,):
                connection.execute(
                    text("INSERT INTO reading VALUES (:at, 1, 1.5, 1)"),
                    {"at": at + timedelta(seconds=turn)},
                )
        with compressed.begin() as connection:
            progress, more, _ = compression.work(connection, progress, Retention(), NOW)
        if not more:
            break
    assert turn == 3, "each of the two has one turn, and the sweep ends"
    assert len(waiting(compressed, "reading")) == 1


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
