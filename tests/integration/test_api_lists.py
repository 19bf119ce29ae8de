"""Lists: shape, filters, pages, units and origin, and one query each."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import Engine

from shared.settings import Database
from tests.integration import api_world

pytestmark = pytest.mark.database
Client = httpx.AsyncClient
LISTS = ("sites", "pilots", "devices", "datastreams", "latest", "findings", "outcomes")


@pytest_asyncio.fixture
async def client(database: Database, engine: Engine) -> AsyncIterator[Client]:
    api_world.fill(engine)
    async with api_world.api(database) as client:
        yield client


async def get(client: Client, path: str, **params: object) -> Any:
    answer = await client.get(f"/v1/{path}", params=params)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_can_be_read_in_pages_without_gap_or_repeat(client: Client, name: str) -> None:
    whole = await get(client, name)
    assert whole["next"] is None
    pages, cursor = [], None
    while True:
        page = await get(client, name, limit=1, **({"cursor": cursor} if cursor else {}))
        pages += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(pages) > 0
    for one, other in zip(pages, whole["items"], strict=True):
        one.pop("age_s", None), other.pop("age_s", None)
        assert one == other
