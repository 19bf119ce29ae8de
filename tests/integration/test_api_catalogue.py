"""The catalogue: complete, with its contradictions, and cheap to ask for again."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from services.api.app import create_app
from shared import catalogue
from shared.settings import Database

Client = httpx.AsyncClient


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    """The application without its database: the catalogue needs none."""
    app = create_app(Database(url="postgresql://lab@127.0.0.1:1/nowhere"))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def test_nothing_of_the_menu_board_is_lost(client: Client) -> None:
    served = (await client.get("/v1/catalogue")).json()
    assert served.pop("currency") == "KRW"
    for domain in served["domains"]:
        for service in domain["services"]:
            linked = [link["row_id"] for link in service["cost_table_links"]]
            assert [row["id"] for row in service.pop("costs")] == linked
    assert served == catalogue.menu_board()


async def test_a_service_brings_its_costs(client: Client) -> None:
    by_id = (await client.get("/v1/catalogue/services/WAT-01")).json()
    assert (await client.get(f"/v1/catalogue/services/{by_id['slug']}")).json() == by_id
    assert by_id["domain"] == "water"
    for service in catalogue.services():
        found = (await client.get(f"/v1/catalogue/services/{service['id']}")).json()
        rows = {row["id"]: row for row in found["costs"]}
        for link in service["cost_table_links"]:
            [row] = [r for r in catalogue.cost_table()["rows"] if r["id"] == link["row_id"]]
            served = rows[link["row_id"]]
            assert served.pop("relation") == link["relation"]
            assert served.pop("derived") == link["derived"]
            assert served == row


@pytest.mark.parametrize("path", ["catalogue", "catalogue/services/SEC-02"])
async def test_an_unchanged_document_is_not_sent_again(client: Client, path: str) -> None:
    first = await client.get(f"/v1/{path}")
    etag = first.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = await client.get(f"/v1/{path}", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    changed = await client.get(f"/v1/{path}", headers={"If-None-Match": '"other"'})
    assert changed.content == first.content
