"""What a device sent as it was received, what was refused of it, and what was told about it."""

from base64 import b64decode
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import Engine, insert

from shared.db import tables
from shared.settings import Database
from tests.integration import api_world

pytestmark = pytest.mark.database
Client = httpx.AsyncClient
PAYLOADS = [
    b'{"level": 3}',
    bytes(range(256)),
    "높이 3".encode(),
    b"\0",
    b"",
    b'["\\ud800"]',
    b"[1]" * 9999,
]


def settle(engine: Engine) -> None:
    """Five messages of device 1, two of them at the same time; three refusals and two events."""
    owner = {"device_id": 1}
    whose = {**owner, "source_id": 1, "topic": "livinglab/cibinong/g1/up"}
    times = [api_world.START + timedelta(hours=hour) for hour in (0, 1, 1, 2, 3, 4, 5)]
    with engine.begin() as connection:
        api_world.fill(engine)
        connection.execute(
            insert(tables.uplink),
            [
                {
                    **whose,
                    "uplink_id": str(UUID(int=number + 1)),
                    "observed_at": time,
                    "received_at": time,
                    "payload": payload,
                    "radio": {"rssi_dbm": [-97]},
                    "gateways": ["gw-1"],
                }
                for number, (time, payload) in enumerate(zip(times, PAYLOADS, strict=True))
            ],
        )
        refused = ((2**128 - 1, "unmapped", None), (7, "conflict", None), (8, "bad_json", b"{"))
        connection.execute(
            insert(tables.rejected),
            [
                {
                    **whose,
                    "reject_id": str(UUID(int=number)),
                    "received_at": times[0],
                    "scope": "message" if payload else "item",
                    "reason": reason,
                    "detail": "why",
                    "payload": payload,
                    "uplink_id": None if payload else str(UUID(int=1)),
                }
                for number, reason, payload in refused
            ],
        )
        connection.execute(
            insert(tables.device_event),
            [
                {**owner, "event_id": str(UUID(int=9)), "at": times[0], "kind": "join"},
                {**owner, "event_id": str(UUID(int=10)), "at": times[0], "kind": "status"},
            ],
        )


@pytest_asyncio.fixture
async def client(database: Database, engine: Engine) -> AsyncIterator[Client]:
    settle(engine)
    async with api_world.api(database) as client:
        yield client


async def items(client: Client, path: str) -> list[dict[str, Any]]:
    answer = await client.get(f"/v1/devices/1/{path}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_every_byte_comes_back_in_either_encoding(client: Client) -> None:
    wanted = PAYLOADS[::-1]
    by_time = [*wanted[:4], *PAYLOADS[2:0:-1], PAYLOADS[0]]
    as_base64, as_hex = await items(client, "uplinks"), await items(client, "uplinks?encoding=hex")
    assert [b64decode(each["payload"]) for each in as_base64] == by_time
    assert [bytes.fromhex(each["payload"]) for each in as_hex] == by_time
    assert [each["bytes"] for each in as_base64] == [len(each) for each in by_time]


async def test_text_is_given_where_the_bytes_are_text(client: Client) -> None:
    texts = [each["text"] for each in await items(client, "uplinks")]
    assert texts[1:] == ['["\\ud800"]', "", "\0", "높이 3", None, '{"level": 3}']


@pytest.mark.parametrize("name", ["uplinks", "rejects", "events"])
async def test_pages_are_the_whole_list_though_times_are_equal(client: Client, name: str) -> None:
    whole = await items(client, name)
    pages: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = (await client.get(f"/v1/devices/1/{name}?limit=1{cursor}")).json()
        pages += page["items"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert pages == whole
    assert len(whole) == {"uplinks": 7, "rejects": 3, "events": 2}[name]
    assert all(each["origin"] == "simulated" for each in whole)


async def test_messages_of_a_span(client: Client) -> None:
    span = "from=2026-03-01T01:00:00Z&to=2026-03-01T02:00:00Z"
    assert len(await items(client, f"uplinks?{span}")) == 2


async def test_refusals_by_reason(client: Client) -> None:
    [bad] = await items(client, "rejects?reason=bad_json")
    assert (bad["scope"], b64decode(bad["payload"]), bad["uplink_id"]) == ("message", b"{", None)
    [conflict] = await items(client, "rejects?reason=conflict")
    assert (conflict["scope"], conflict["payload"]) == ("item", None)
    assert [each["kind"] for each in await items(client, "events?kind=join")] == ["join"]


@pytest.mark.parametrize("name", ["uplinks", "rejects", "events"])
async def test_a_device_that_is_not_there_is_a_404(client: Client, name: str) -> None:
    assert (await client.get(f"/v1/devices/99/{name}")).status_code == 404
    assert await items(client, f"{name}?cursor={'9' * 17}.{'9' * 39}") == await items(client, name)


async def test_the_page_of_a_device_shows_bytes_that_are_no_text(client: Client) -> None:
    page = await client.get("/devices/1")
    assert page.status_code == 200
    assert "0000  00 01 02 03" in page.text
    assert "높이 3" in page.text
    assert "\\ud800" in page.text  # half a character
    assert 9000 < page.text.count("[1]") * 3 < 11_000  # not all of a long message
