"""The schema goes up, down and up again on every edition, and matches the code."""

import os
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, inspect, text
from sqlalchemy.engine import make_url

from shared.db import migrate, timescale
from shared.db.engine import connect, sync_engine
from shared.settings import Database

pytestmark = pytest.mark.database
COMMUNITY = os.environ.get("LAB_TEST_TIMESCALE_URL")


def up_down_up(engine: Engine) -> None:
    migrate.upgrade(engine)
    migrate.check(engine)
    migrate.downgrade(engine)
    assert inspect(engine).get_table_names() == ["alembic_version"]
    migrate.upgrade(engine)
    migrate.check(engine)
    assert migrate.upgrade(engine) == []  # a second time converts nothing


def hypertables(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        if timescale.edition(connection) == "plain":
            return set()
        found = "SELECT hypertable_name FROM timescaledb_information.hypertables"
        return set(connection.scalars(text(found)))


def test_up_down_up_on_this_server(new_database: Callable[[str], Database]) -> None:
    engine = sync_engine(new_database("lab_test_up_down_up"))
    up_down_up(engine)
    with engine.connect() as connection:
        plain = timescale.edition(connection) == "plain"
    assert hypertables(engine) == (set() if plain else {"uplink", "reading"})
    engine.dispose()


@pytest.fixture
def ordinary_owner(server_url: str) -> Iterator[Database]:
    """An empty database whose owner is no superuser, as a careful operator would make it."""
    name = "lab_test_owner"
    with connect(Database(url=server_url), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.execute(f"DROP ROLE IF EXISTS {name}")
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
        admin.execute(f"CREATE DATABASE {name} OWNER {name}")
    url = make_url(server_url).set(username=name, password=name, database=name)
    yield Database(url=url.render_as_string(hide_password=False))
    with connect(Database(url=server_url), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        admin.execute(f"DROP ROLE {name}")


def test_the_owner_of_the_database_need_not_be_a_superuser(ordinary_owner: Database) -> None:
    engine = sync_engine(ordinary_owner)
    up_down_up(engine)
    with engine.connect() as connection:
        plain = timescale.edition(connection) == "plain"
    assert hypertables(engine) == (set() if plain else {"uplink", "reading"})
    engine.dispose()


@pytest.fixture
def community() -> Iterator[Engine]:
    if COMMUNITY is None:
        pytest.skip("LAB_TEST_TIMESCALE_URL names no TimescaleDB community server")
    name = "lab_test_community"
    with connect(Database(url=COMMUNITY), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {name}")
    url = make_url(COMMUNITY).set(database=name).render_as_string(hide_password=False)
    engine = sync_engine(Database(url=url))
    yield engine
    engine.dispose()
    with connect(Database(url=COMMUNITY), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_up_down_up_on_timescale_community(community: Engine) -> None:
    up_down_up(community)
    assert hypertables(community) == {"uplink", "reading"}
    with community.connect() as connection:
        assert timescale.edition(connection) == "community"


def test_data_already_there_moves_into_the_hypertable(community: Engine) -> None:
    """As when TimescaleDB is added to a server that began as plain PostgreSQL."""
    with community.begin() as connection:
        connection.execute(text("DROP EXTENSION IF EXISTS timescaledb CASCADE"))
    migrate.upgrade(community, "20261122_1700_first_schema")
    with community.begin() as connection:
        insert = "INSERT INTO reading VALUES ('2026-01-01Z', 1, 2.5, 1), ('2014-01-01Z', 1, 3, 1)"
        connection.execute(text(insert))
    assert set(migrate.upgrade(community)) == {"uplink", "reading"}
    with community.connect() as connection:
        assert connection.scalar(text("SELECT sum(value) FROM reading")) == 5.5


def test_chunks_of_an_earlier_release_are_followed_by_longer_ones(community: Engine) -> None:
    up_down_up(community)
    with community.begin() as connection:
        connection.execute(text("SELECT set_chunk_time_interval('reading', interval '7 days')"))
        assert timescale.apply(connection) == []
        told = connection.scalars(
            text("SELECT time_interval::text FROM timescaledb_information.dimensions")
        )
        assert set(told) == {timescale.CHUNK}
