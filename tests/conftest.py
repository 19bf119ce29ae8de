"""Real servers for every test: PostgreSQL and NATS embedded, or the ones named by LAB_TEST_*."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import yaml
from argon2 import PasswordHasher
from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import make_url

from shared import password
from shared.db import migrate, sites, tables
from shared.db.engine import connect, sync_engine
from shared.embedded import nats, postgres
from shared.settings import Database
from shared.site_file import parse

# No deadlines: a busy machine is slow, not wrong. The same examples each time, but in test-full.
hypothesis.settings.register_profile(
    "project",
    hypothesis.settings.get_profile("ci"),
    derandomize="LAB_TEST_FULL" not in os.environ,
)
hypothesis.settings.load_profile("project")


QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """A hash of production takes a core for a fifth of a second, and the tests make hundreds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(password, "_HASHER", QUICK)
        password._nobodys.cache_clear()
        yield


@pytest.fixture
def slow_passwords(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hashes as in production."""
    monkeypatch.setattr(password, "_HASHER", PasswordHasher())
    password._nobodys.cache_clear()
    yield
    password._nobodys.cache_clear()


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server to make databases on: LAB_TEST_DATABASE_URL, else an embedded one."""
    named = os.environ.get("LAB_TEST_DATABASE_URL")
    if named:
        yield named
        return
    directory = tmp_path_factory.mktemp("pg")
    with postgres.running(directory, settings={"fsync": "off", "synchronous_commit": "off"}) as url:
        yield url


@pytest.fixture(scope="session")
def new_database(server_url: str) -> Iterator[Callable[[str], Database]]:
    """Make an empty database of a given name on the server; dropped at the end."""
    made: list[str] = []

    def make(name: str) -> Database:
        with connect(Database(url=server_url), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            admin.execute(f"CREATE DATABASE {name}")
        made.append(name)
        url = make_url(server_url).set(database=name)
        return Database(url=url.render_as_string(hide_password=False))

    yield make
    with connect(Database(url=server_url), autocommit=True) as admin:
        for name in made:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def migrated(new_database: Callable[[str], Database]) -> Iterator[tuple[Database, Engine]]:
    database = new_database(f"lab_test_{os.getpid()}")
    engine = sync_engine(database)
    migrate.upgrade(engine)
    yield database, engine
    engine.dispose()


@pytest.fixture
def database(migrated: tuple[Database, Engine]) -> Database:
    """Settings of a migrated database whose tables are empty."""
    with migrated[1].begin() as connection:
        _empty(connection)
    return migrated[0]


def _empty(connection: Connection) -> None:
    """Truncating makes every file of every table anew: twenty times as dear as deleting little."""
    names = [table.name for table in tables.metadata.sorted_tables]
    connection.execute(text("SET LOCAL lab.audit_unlocked = 'tests'"))
    if connection.scalar(_MUCH_TO_DELETE):
        connection.execute(text(f"TRUNCATE {', '.join(names)} RESTART IDENTITY CASCADE"))
        return
    connection.execute(text("SET LOCAL session_replication_role = replica"))  # in any order
    connection.execute(text("; ".join(f"DELETE FROM {name}" for name in names)))
    connection.execute(text("SELECT setval(seqrelid::regclass, seqstart, false) FROM pg_sequence"))


# What deletion leaves behind slows every reader; and it would leave the chunks of TimescaleDB.
_MUCH_TO_DELETE = text("""
    SELECT sum(pg_relation_size(relid)) > 4e6
           OR EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')
    FROM pg_stat_user_tables
""")


@pytest.fixture
def engine(database: Database, migrated: tuple[Database, Engine]) -> Engine:  # noqa: ARG001
    """A SQLAlchemy engine on the emptied database."""
    return migrated[1]


@pytest.fixture
def apply_site(engine: Engine) -> Callable[[str | dict[str, object]], list[str]]:
    """Apply a site file given as YAML text or as a structure; returns the diff."""

    def apply(content: str | dict[str, object]) -> list[str]:
        loaded = yaml.safe_load(content) if isinstance(content, str) else content
        with engine.begin() as connection:
            return sites.apply(connection, parse(loaded))

    return apply


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[nats.Broker]:
    """A NATS of its own for each test: queues left by one never reach another."""
    with nats.running(tmp_path / "nats") as running:
        yield running
