"""Everybody who could ask, for the tests of access that begin with the same world."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import Engine

from shared.settings import Database
from tests import people
from tests.integration import access_world
from tests.integration.access_world import World


@pytest.fixture
def world(engine: Engine) -> World:
    return access_world.fill(engine)


@pytest_asyncio.fixture
async def client(database: Database, world: World) -> AsyncIterator[httpx.AsyncClient]:
    assert world
    async with access_world.running(database) as (_, client):
        yield client


@pytest_asyncio.fixture
async def door(database: Database, engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    """Where dewi may sign in, and nobody else."""
    people.add(engine, name="dewi")
    async with access_world.running(database) as (_, client):
        yield client
