"""`lab db dump` and `lab db restore`: the drill, and what is refused."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from services.analytics import rollup, runner
from services.cli import backup
from services.cli.backup import BackupRefused
from services.cli.pg_client import ProgramFailed
from shared.db import change, migrate, timescale
from shared.db.change import Position
from shared.db.engine import sync_engine
from shared.embedded import nats
from shared.settings import Database
from tests.integration.ingest_bench import Bench
from tests.integration.test_cli import lab, refused
from tests.integration.test_exactly_once import ingest
from tests.integration.test_ingest_path import NOW, site

pytestmark = pytest.mark.database
Apply = Callable[[object], list[str]]
# Transaction ids and the progress that holds them are rebased: they mean nothing elsewhere.
COMPARED = {"change": "batch_id, at, datastream_ids, hours", "job": "name, error"}


def checksums(connection: Connection) -> dict[str, str]:
    """Of every row of every table."""
    return {
        name: connection.scalar(
            text(f"""
                SELECT count(*) || ' ' || md5(coalesce(string_agg(row::text, ';' ORDER BY row), ''))
                FROM (SELECT {COMPARED.get(name, "*")} FROM {name}) AS row
            """)
        )
        for name in backup.rows(connection)
    }


def count(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0


def grown(engine: Engine, table: str, beyond: int) -> None:
    """Wait until a table has more rows than that."""
    deadline = time.monotonic() + 60
    while count(engine, table) <= beyond:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def roll_up(engine: Engine) -> None:
    while runner.run_slice(engine, rollup.JOB):
        pass


@contextmanager
def publishing(bench: Bench) -> Iterator[None]:
    """Readings of two years, as fast as they are acknowledged, until the block ends."""
    stop = threading.Event()

    def publish() -> None:
        i = 0
        while not stop.is_set():
            at = (NOW - timedelta(minutes=30 * (i % 35_000))).isoformat()
            bench.publish("livinglab/cibinong/g1/up", {"time": at, "values": {"level": i % 89}})
            i += 1

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)


@pytest.fixture
def elsewhere(new_database: Callable[[str], Database]) -> Iterator[tuple[Database, Engine]]:
    """An empty database to restore into."""
    database = new_database("lab_test_restored")
    engine = sync_engine(database)
    yield database, engine
    engine.dispose()


def test_a_dump_while_ingest_writes_is_the_source_at_one_moment(
    database: Database,
    engine: Engine,
    broker: nats.Broker,
    apply_site: Apply,
    elsewhere: tuple[Database, Engine],
    tmp_path: Path,
) -> None:
    apply_site(site())
    file = tmp_path / "lab.dump"
    worker, bench = ingest(database, broker, nats.free_port()), Bench(broker, engine)
    try:
        with publishing(bench):
            grown(engine, "uplink", 50)
            roll_up(engine)
            with backup.frozen(engine) as (then, snapshot):
                seen = then.scalar(text("SELECT count(*) FROM uplink")) or 0
                grown(engine, "uplink", seen)
                backup.dump(engine, file, snapshot)
                expected = checksums(then)
    finally:
        worker.terminate()
        worker.wait(60)
        bench.close()
    assert count(engine, "uplink") > seen
    assert file.stat().st_mode & 0o077 == 0, "others may read personal text"

    backup.restore(elsewhere[1], file)
    with elsewhere[1].connect() as connection:
        assert checksums(connection) == expected
        assert expected["uplink"].startswith(f"{seen} ")
        stored = text("SELECT sum(n) FROM ledger WHERE kind = 'stored'")
        assert connection.scalar(stored) == seen
        if timescale.edition(connection) != "plain":
            chunks = text("SELECT count(*) FROM show_chunks('reading')")
            assert connection.scalar(chunks), "the copy is no hypertable"
    migrate.upgrade(elsewhere[1])  # as the run-book says: the views are made anew
    migrate.check(elsewhere[1])
    the_copy_goes_on(elsewhere[1])


def the_copy_goes_on(engine: Engine) -> None:
    """A new commit reaches the followers of the restored copy."""
    later = NOW + timedelta(days=30)
    hour = later.replace(minute=0, second=0, microsecond=0)
    with engine.begin() as connection:
        insert = text("INSERT INTO reading SELECT :at, min(id), 1, 1 FROM datastream RETURNING 2")
        assert connection.scalar(insert, {"at": later})
        stream = connection.scalar(text("SELECT min(id) FROM datastream"))
        change.record(connection, [(int(stream or 0), hour)])
    deadline = time.monotonic() + 60
    sums = text("SELECT (SELECT sum(n) FROM reading_hourly), (SELECT count(*) FROM reading)")
    while True:
        roll_up(engine)
        with engine.connect() as connection:
            rolled, there = connection.execute(sums).one()
        if rolled == there:
            return
        assert time.monotonic() < deadline, (rolled, there)
        time.sleep(0.1)


def test_followers_of_a_cluster_whose_transactions_were_ahead_go_on(engine: Engine) -> None:
    """Restored into a new cluster, xids begin anew: 4 billion is far ahead of any test server."""
    with engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO change (xid, datastream_ids, hours)
                SELECT CAST(4000000000 + place AS text)::xid8, ARRAY[n], '{2026-01-01Z}'
                FROM unnest('{1,3,2,4}'::int[]) WITH ORDINALITY AS committed (place, n)
            """)
        )
        progress = """
            INSERT INTO job (name, progress) VALUES
                ('behind', '{"xid": 4000000002, "batch_id": 3, "kept": true}'),
                ('level', '{"xid": 4000000004, "batch_id": 4}'), ('none', '{"swept": "x"}')
        """
        connection.execute(text(progress))
    with engine.begin() as connection:
        change.rebase(connection)
        change.record(connection, [(5, NOW)])

    def told(name: str) -> list[int]:
        with engine.connect() as connection:
            at: dict[str, Any] = connection.scalar(
                text("SELECT progress FROM job WHERE name = :name"), {"name": name}
            )
            cells = change.since(connection, Position(at["xid"], at["batch_id"]))
            return [each.cells[0][0] for each in cells]

    deadline = time.monotonic() + 60
    while told("level") != [5]:
        assert time.monotonic() < deadline, told("level")
        time.sleep(0.05)
    assert told("behind") == [2, 3, 4, 5]  # 3 again: harmless; 2 and 4 were never lost
    with engine.connect() as connection:
        kept = (
            "SELECT progress FROM job WHERE progress ? 'kept' OR progress ? 'swept' ORDER BY name"
        )
        progress_kept = connection.scalars(text(kept)).all()
    assert [sorted(each) for each in progress_kept] == [["batch_id", "kept", "xid"], ["swept"]]


def test_the_commands_say_what_they_did_and_refuse_a_full_database(
    database: Database,
    apply_site: Apply,
    elsewhere: tuple[Database, Engine],
    tmp_path: Path,
) -> None:
    apply_site(site())
    file = str(tmp_path / "lab.dump")
    done = lab("db", "dump", file, LAB_DATABASE_URL=database.url)
    assert done.returncode == 0, done.stderr
    assert "0 readings, 0 uplinks" in done.stdout
    refused(lab("db", "restore", file, LAB_DATABASE_URL=database.url), "not empty", "alembic")
    done = lab("db", "restore", file, LAB_DATABASE_URL=elsewhere[0].url)
    assert done.returncode == 0, done.stderr
    assert "0 readings, 0 uplinks" in done.stdout


def test_no_file_is_overwritten_and_none_is_left_half_made(engine: Engine, tmp_path: Path) -> None:
    (file := tmp_path / "lab.dump").write_text("an older one")
    with backup.frozen(engine) as (_, snapshot):
        with pytest.raises(BackupRefused, match="never overwrites"):
            backup.dump(engine, file, snapshot)
        with pytest.raises(BackupRefused, match="no directory"):
            backup.dump(engine, tmp_path / "none/lab.dump", snapshot)
    assert file.read_text() == "an older one"
    with pytest.raises(ProgramFailed, match="snapshot"):
        backup.dump(engine, tmp_path / "new.dump", "00000003-0000001B-9")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["lab.dump"]


def test_other_files_are_no_dumps(elsewhere: tuple[Database, Engine], tmp_path: Path) -> None:
    (file := tmp_path / "other").write_bytes(b"PGDMP but not really")
    with pytest.raises(ProgramFailed, match="pg_restore"):
        backup.restore(elsewhere[1], file)
    with pytest.raises(BackupRefused, match="no such file"):
        backup.restore(elsewhere[1], tmp_path / "none")


def test_what_cannot_be_restored_leaves_the_database_empty(
    engine: Engine, elsewhere: tuple[Database, Engine], tmp_path: Path
) -> None:
    file = tmp_path / "lab.dump"
    with backup.frozen(engine) as (_, snapshot):
        backup.dump(engine, file, snapshot)
    torn = tmp_path / "torn.dump"
    torn.write_bytes(file.read_bytes()[:-600])
    with pytest.raises(ProgramFailed, match="pg_restore"):
        backup.restore(elsewhere[1], torn)
    backup.restore(elsewhere[1], file)  # still empty, and no longer marked as being restored
    migrate.upgrade(elsewhere[1])  # as the run-book says: the views are made anew
    migrate.check(elsewhere[1])


def test_a_restore_that_fails_after_its_rows_came_is_not_taken_for_a_copy(
    engine: Engine,
    elsewhere: tuple[Database, Engine],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @contextmanager
    def failing(*_: object) -> Iterator[None]:
        """As where the database is lost before TimescaleDB goes on."""
        yield
        raise OperationalError("SELECT timescaledb_post_restore()", None, Exception("lost"))

    copy, file = elsewhere[1], tmp_path / "lab.dump"
    with backup.frozen(engine) as (_, snapshot):
        backup.dump(engine, file, snapshot)
    monkeypatch.setattr(backup, "_timescale_restoring", failing)
    with pytest.raises(OperationalError):
        backup.restore(copy, file)
    with pytest.raises(migrate.SchemaError, match="restore into this database has not"):
        migrate.check(copy)


def test_a_restore_that_was_killed_is_not_taken_for_a_copy(
    engine: Engine, elsewhere: tuple[Database, Engine], tmp_path: Path
) -> None:
    there, copy = elsewhere
    file = tmp_path / "lab.dump"
    with backup.frozen(engine) as (_, snapshot):
        backup.dump(engine, file, snapshot)
    mark = text(f"CREATE TABLE {migrate.UNFINISHED} ()")
    for copied in (False, True):  # killed at its beginning, and when all but its end was done
        if copied:
            with copy.begin() as connection:
                connection.execute(text(f"DROP TABLE {migrate.UNFINISHED}"))
            backup.restore(copy, file)
        with copy.begin() as connection:
            connection.execute(mark)
        for act in (migrate.check, migrate.upgrade, lambda engine: migrate.ready(engine, there)):
            with pytest.raises(migrate.SchemaError, match="restore into this database has not"):
                act(copy)
        with pytest.raises(BackupRefused, match="not empty"):
            backup.restore(copy, file)
