"""Each part's connections say whose they are, and none may hold up the others for ever."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from services.analytics.runner import Job, Progress, Slice, run_slice
from services.api import app as application
from services.api.access.guard import needs
from services.api.deps import Db, Visitor
from shared.db.engine import connect, sync_engine
from shared.db.session import ANALYTICS, API_READ, API_WRITE, CLI, INGEST, SESSIONS, Session
from shared.settings import Database
from tests.integration import api_world
from tests.integration.test_api_problems import is_problem

pytestmark = pytest.mark.database
SHOWN = (
    "SELECT current_setting('TimeZone'), current_setting('application_name'),"
    " current_setting('statement_timeout'), current_setting('lock_timeout'),"
    " current_setting('idle_in_transaction_session_timeout')"
)


@pytest.mark.parametrize(
    ("session", "shown"),
    [
        (API_READ, ("UTC", "lab-api-read", "15s", "5s", "1min")),
        (API_WRITE, ("UTC", "lab-api-write", "10s", "5s", "30s")),
        (INGEST, ("UTC", "lab-ingest", "5min", "1min", "1min")),
        (ANALYTICS, ("UTC", "lab-analytics", "1h", "1min", "1h")),
        (CLI, ("UTC", "lab-cli", "0", "0", "0")),
    ],
)
def test_a_session_has_its_name_and_limits(
    database: Database, session: Session, shown: tuple[str, ...]
) -> None:
    with connect(database, session) as connection:
        assert connection.execute(SHOWN).fetchone() == shown
    engine = sync_engine(database, session)
    with engine.connect() as sql:
        assert tuple(sql.execute(text(SHOWN)).one()) == shown
    engine.dispose()
    assert session in SESSIONS


async def test_the_activity_of_the_database_tells_who_is_who(
    database: Database, engine: Engine
) -> None:
    async with api_world.api(database) as client:
        app = client.app  # type: ignore[attr-defined]
        for path in ("/healthz", "/v1/sites"):
            assert (await client.get(path)).status_code == 200
        async with app.state.writer.begin() as writing:
            assert await writing.scalar(text("SHOW application_name")) == "lab-api-write"
        with engine.connect() as looking:
            names = set(looking.scalars(text("SELECT application_name FROM pg_stat_activity")))
    assert {"lab-cli", "lab-api-read", "lab-api-write"} <= names


async def test_a_read_that_takes_too_long_is_a_503_and_its_connection_goes_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "API_READ", replace(API_READ, statement=1))
    async with api_world.api(Database(url=database.url, pool=1)) as client:

        @client.app.get("/v1/slow", dependencies=[needs("site:read")])  # type: ignore[attr-defined]
        async def _slow(connection: Db) -> None:
            await connection.execute(text("SELECT pg_sleep(60)"))

        backend = text("SELECT pg_backend_pid()")
        state = client.app.state  # type: ignore[attr-defined]
        async with state.engine.connect() as connection:
            before = await connection.scalar(backend)
        for _ in range(3):
            is_problem(await client.get("/v1/slow"), 503)
            assert (await client.get("/v1/sites")).status_code == 200
        async with state.engine.connect() as connection:
            assert await connection.scalar(backend) == before


async def test_connections_that_died_while_they_waited_are_replaced_before_anybody_notices(
    database: Database, engine: Engine
) -> None:
    async with api_world.api(database) as client:
        state = client.app.state  # type: ignore[attr-defined]
        several = [client.get("/v1/sites") for _ in range(6)]
        assert {answer.status_code for answer in await asyncio.gather(*several)} == {200}
        pool = state.engine.pool
        assert pool.checkedin() > 1
        with engine.begin() as connection:
            killed = connection.scalar(
                text(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE application_name = 'lab-api-read' AND datname = current_database()"
                )
            )
        assert killed >= pool.checkedin()
        assert (await client.get("/v1/sites")).status_code == 200


async def test_a_write_that_waits_too_long_for_another_is_a_503_that_changes_nothing(
    database: Database, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "API_WRITE", replace(API_WRITE, lock=0.2))
    api_world.fill(engine)
    async with api_world.api(database) as client:

        @client.app.post(  # type: ignore[attr-defined]
            "/v1/renamed", dependencies=[needs("finding:act")]
        )
        async def _renamed(visit: Visitor) -> None:
            await visit.connection.execute(text("UPDATE site SET name = 'other'"))
            await visit.record("update", "site", changed=("name",))

        with engine.begin() as holder:
            holder.execute(text("SELECT FROM site FOR UPDATE"))
            is_problem(await client.post("/v1/renamed"), 503)
        names = [site["name"] for site in (await client.get("/v1/sites")).json()["items"]]
        assert "other" not in names
        assert (await client.post("/v1/renamed")).status_code == 200


def test_a_slice_that_takes_too_long_is_told_of_and_does_not_pass_for_a_lost_database(
    database: Database,
) -> None:
    engine = sync_engine(database, replace(ANALYTICS, statement=0.2))

    def sleep(connection: Connection, progress: Progress) -> Slice:
        connection.execute(text("SELECT pg_sleep(60)"))
        return Slice(progress, more=False)

    with pytest.raises(OperationalError, match="statement timeout"):
        run_slice(engine, Job("too-long", sleep))
    with engine.connect() as connection:
        told = connection.scalar(text("SELECT error FROM job WHERE name = 'too-long'"))
    assert "statement timeout" in str(told)
    engine.dispose()
