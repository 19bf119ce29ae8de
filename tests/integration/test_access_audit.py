"""What is written and what is read of people stands in the audit, or did not happen."""

import httpx
import pytest
from sqlalchemy import Engine, insert, text
from sqlalchemy.exc import ProgrammingError

from services.api.access import guard
from services.api.deps import Db
from shared.db import audit, tables
from shared.settings import Database
from tests import people
from tests.integration import access_world
from tests.integration.access_world import World, as_session

pytestmark = pytest.mark.database
Client = httpx.AsyncClient


async def test_every_write_and_every_personal_read_is_in_the_audit_with_names_of_fields(
    client: Client, world: World, engine: Engine
) -> None:
    session = as_session(world.sessions["operator"])
    key = people.bearer(world.keys["operator"])
    seen = {**key, "x-reason": "complaint 17"}
    note = "a name of a person"
    done = {"json": {"action": "close", "note": note}, "headers": session}
    assert (await client.post("/v1/findings/1/actions", **done)).status_code == 201  # type: ignore[arg-type]
    assert (await client.get("/v1/devices/1/uplinks", headers=seen)).status_code == 200
    csv = "/v1/datastreams/1/readings?format=csv"
    assert (await client.get(csv, headers=key)).status_code == 200
    assert (await client.get("/v1/devices/3/uplinks", headers=key)).status_code == 404
    assert (
        await client.get("/v1/devices/1/uplinks", headers=people.bearer(world.keys["planner"]))
    ).status_code == 403
    with engine.connect() as connection:
        told = {(e.action, e.object): e for e in audit.entries_sync(connection)}
    act = told["create", "finding/1/actions"]
    assert (act.actor, act.address, act.outcome) == ("user:operator-own", "127.0.0.1", "done")
    assert act.changed == ("action", "note", "by")
    assert act.values == {"action": "close"}
    assert note not in str(told)
    read = told["read", "device/1/uplinks"]
    assert read.actor == f"key:{world.keys['operator'][4:12]} (operator-own)"
    assert (read.why, read.site_id) == ("complaint 17", 1)
    assert ("export", "datastream/1/readings") in told
    assert ("read", "device/3/uplinks") not in told
    assert len([1 for e in told.values() if e.action == "read"]) == 1


async def test_a_route_that_tells_the_audit_nothing_writes_nothing(
    database: Database, world: World, engine: Engine
) -> None:
    async with access_world.running(database) as (app, client):

        @app.post("/v1/silent", dependencies=[guard.needs("finding:act")])
        async def _silent(connection: Db) -> None:
            await connection.execute(
                text("INSERT INTO finding_action (finding_id, action, by) VALUES (1, 'close', 'x')")
            )

        headers = people.bearer(world.keys["operator"])
        assert (await client.post("/v1/silent", headers=headers)).status_code == 500
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM finding_action")) == 0


async def test_a_write_for_another_site_is_refused_by_the_database_itself(
    database: Database, world: World, engine: Engine
) -> None:
    async with access_world.running(database) as (app, client):

        @app.post("/v1/wrong", dependencies=[guard.needs("finding:act")])
        async def _wrong(connection: Db) -> None:
            alien = {"site_id": 2, "key": "x", "service": "x", "phase": 1, "origin": "measured"}
            with pytest.raises(ProgrammingError, match="violates check option") as refused:
                await connection.execute(insert(tables.pilot).values(alien))
            raise refused.value

        answer = await client.post("/v1/wrong", headers=people.bearer(world.keys["operator"]))
    assert answer.status_code == 500
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM pilot WHERE key = 'x'")) == 0
