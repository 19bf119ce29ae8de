"""Acting on findings: appended, judged by how the finding stands, off by default, never foreign."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import Engine, text

from shared.settings import Database
from tests.integration import api_world

pytestmark = pytest.mark.database
Client = httpx.AsyncClient
PATH = "/v1/findings/1/actions"
SEEN = {"action": "acknowledge", "by": "duty operator", "note": "pump is running"}
HOST = {"host": "127.0.0.1:8000"}


@pytest_asyncio.fixture
async def client(database: Database, engine: Engine) -> AsyncIterator[Client]:
    api_world.fill(engine)
    async with api_world.api(database, finding_actions=True) as client:
        client.headers.update(HOST)
        yield client


def logged(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM finding_action")) or 0


async def state(client: Client) -> str:
    return str((await client.get("/v1/findings/1")).json()["state"])


async def test_what_is_done_is_appended_and_tells_how_the_finding_stands(client: Client) -> None:
    assert await state(client) == "open"
    done = []
    for action, after in (("acknowledge", "acknowledged"), ("close", "closed"), ("reopen", "open")):
        answer = await client.post(PATH, json={**SEEN, "action": action})
        assert answer.status_code == 201, answer.text
        done.append(answer.json())
        assert done[-1]["state"] == after == await state(client)
    assert (await client.get(PATH)).json() == {"items": done, "next": None}
    assert done[0]["by"] == "duty operator"
    assert done[0]["note"] == "pump is running"


async def test_findings_are_listed_by_state_and_severity(client: Client) -> None:
    await client.post(PATH, json=SEEN)

    async def ids(query: str) -> list[int]:
        return [item["id"] for item in (await client.get(f"/v1/findings?{query}")).json()["items"]]

    assert await ids("state=acknowledged") == [1]
    assert await ids("state=open") == [2]
    assert await ids("state=closed") == []
    assert await ids("severity=alarm") == [2]


async def test_what_does_not_apply_is_a_conflict_and_leaves_no_trace(
    client: Client, engine: Engine
) -> None:
    answer = await client.post(PATH, json={**SEEN, "action": "reopen"})
    assert answer.status_code == 409
    assert "finding 1 is open" in answer.json()["detail"]
    assert logged(engine) == 0


async def test_of_many_who_close_at_once_one_succeeds(client: Client, engine: Engine) -> None:
    close = {**SEEN, "action": "close"}
    answers = await asyncio.gather(*(client.post(PATH, json=close) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]
    assert logged(engine) == 1


ODD: list[dict[str, str]] = [
    {},
    {"action": "delete", "by": "x"},
    {"action": "close"},
    {"action": "close", "by": "   "},
    {"action": "close", "by": "x" * 81},
    {"action": "close", "by": "a\u0000b"},
    {"action": "close", "by": "x", "note": "y" * 2001},
    {"action": "close", "by": "x", "note": "\u001b[2J"},
]


async def test_what_is_not_understood_is_a_422_problem(client: Client, engine: Engine) -> None:
    for asked in ODD:
        assert (await client.post(PATH, json=asked)).status_code == 422, asked
    assert logged(engine) == 0


async def test_a_finding_that_is_not_there_is_a_404_problem(client: Client) -> None:
    assert (await client.post("/v1/findings/99/actions", json=SEEN)).status_code == 404
    assert (await client.get("/v1/findings/99/actions")).status_code == 404


async def test_it_is_off_by_default(database: Database, engine: Engine) -> None:
    api_world.fill(engine)
    async with api_world.api(database) as client:
        answer = await client.post(PATH, json=SEEN, headers=HOST)
        form = await client.post("/findings/1/actions", data=SEEN, headers=HOST)
        page = await client.get("/findings")
    assert answer.status_code == form.status_code == 403
    assert "LAB_API_FINDING_ACTIONS" in answer.json()["detail"]
    assert "switched off here" in form.text
    assert "<textarea" not in page.text
    assert logged(engine) == 0


FOREIGN: list[dict[str, str]] = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"origin": "https://elsewhere.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:9999"},
    {"host": "elsewhere.example", "origin": "http://elsewhere.example"},
    {"host": "[", "origin": "http://["},
]


async def test_a_page_of_another_site_cannot_act(client: Client, engine: Engine) -> None:
    for headers in FOREIGN:
        json = await client.post(PATH, headers=headers, json=SEEN)
        form = await client.post("/findings/1/actions", headers=headers, data=SEEN)
        refused = 421 if "host" in headers else 403
        assert json.status_code == form.status_code == refused, headers
    assert logged(engine) == 0


async def test_our_own_page_can(client: Client) -> None:
    headers = {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8000"}
    assert (await client.post(PATH, json=SEEN, headers=headers)).status_code == 201


async def test_a_form_returns_to_the_list_as_it_was(client: Client) -> None:
    form = {**SEEN, "view": "list"}
    answer = await client.post("/findings/1/actions?site=cibinong&x=%0d%0aY:z", data=form)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/findings?site=cibinong&x=%0d%0aY%3Az#finding-1"
    page = (await client.get("/findings?site=cibinong")).text
    assert "pump is running" in page


REFUSED: list[tuple[dict[str, str], int, str]] = [
    ({"action": "reopen", "by": "x"}, 409, "Somebody was first"),
    ({"action": "close", "by": ""}, 422, "a name of at most 80 letters"),
    ({}, 422, "a name of at most 80 letters"),
]


async def test_a_form_that_is_refused_says_why(client: Client) -> None:
    for form, status, words in REFUSED:
        answer = await client.post("/findings/1/actions", data=form)
        assert answer.status_code == status
        assert words in answer.text
        assert "<form" in answer.text
    many = "&".join(f"x{number}=" for number in range(30))
    assert (await client.post("/findings/1/actions", content=many)).status_code == 422
    for number in ("99", str(2**70), "9" * 5000):
        assert (await client.post(f"/findings/{number}/actions", data=SEEN)).status_code == 404
        for kind in ("findings", "devices", "pilots"):
            assert (await client.get(f"/{kind}/{number}")).status_code == 404


async def test_notes_are_shown_as_text(client: Client) -> None:
    await client.post(PATH, json={**SEEN, "note": "<script>alert(1)</script>"})
    assert "<script>alert" not in (await client.get("/findings/1")).text
