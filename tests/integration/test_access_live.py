"""The live stream: of one's own sites alone, and not for longer than one may see it."""

import asyncio
import itertools
from datetime import UTC, datetime

import httpx
import pytest
from sqlalchemy import Engine

from services.api.main import listening, server
from shared.db.access import keys
from shared.embedded.nats import free_port
from shared.settings import Access, Api, Database
from tests import people
from tests.integration.access_world import World, change
from tests.integration.test_api_live import arrive

pytestmark = pytest.mark.database
Client = httpx.AsyncClient


async def _keep_telling(engine: Engine) -> None:
    for minute in itertools.count(1):  # news must not keep a stream from looking who hears it
        arrive(engine, [1], minute)
        await asyncio.sleep(0.4)


@pytest.mark.parametrize("public", [False, True])
async def test_a_live_stream_ends_within_five_seconds_of_its_key(
    database: Database, world: World, engine: Engine, public: bool
) -> None:
    port = free_port()
    served = server(database, access=Access(public=public))
    with listening(Api(port=port)) as listener:
        task = asyncio.create_task(served.serve(sockets=[listener]))
        await asyncio.wait_for(served.hub.listening.wait(), 20)
        headers = people.bearer(world.keys["operator"])
        url = f"http://127.0.0.1:{port}/v1/live"
        async with (
            Client(timeout=60, headers=headers) as client,
            client.stream("GET", url) as answer,
        ):
            lines = answer.aiter_lines()
            await anext(lines)
            change(
                engine,
                lambda c: keys.revoke(
                    c, keys.find(c, world.keys["operator"][4:12]).id, datetime.now(UTC)
                ),
            )
            telling = asyncio.create_task(_keep_telling(engine))
            async with asyncio.timeout(5):
                async for _ in lines:
                    pass
            telling.cancel()
        served.should_exit = True
        await task


async def test_a_stream_tells_of_its_own_sites_alone(
    database: Database, world: World, engine: Engine
) -> None:
    port = free_port()
    served = server(database)
    with listening(Api(port=port)) as listener:
        task = asyncio.create_task(served.serve(sockets=[listener]))
        await asyncio.wait_for(served.hub.listening.wait(), 20)
        url = f"http://127.0.0.1:{port}/v1/live?max_events=1"
        headers = people.bearer(world.keys["planner"])
        async with Client(timeout=60, headers=headers) as client, client.stream("GET", url) as told:
            lines = told.aiter_lines()
            await anext(lines)
            arrive(engine, [5], 1)  # of the other site
            await asyncio.sleep(1)
            arrive(engine, [1, 5], 2)
            told_text = "\n".join([line async for line in lines])
        served.should_exit = True
        await task
    assert '"site":"cibinong"' in told_text
    assert "yangon" not in told_text
