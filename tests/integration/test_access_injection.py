"""Words meant as code stay words, in every parameter, form and page."""

import itertools

import httpx
import pytest
from sqlalchemy import Engine, text

from tests import people
from tests.integration import access_world
from tests.integration.access_world import OWN, World, as_session

pytestmark = pytest.mark.database
Client = httpx.AsyncClient


INJECTIONS = [
    "'; DROP TABLE site; --",
    '" OR 1=1 --',
    "{{7*7}}",
    "${7*7}",
    "{% raw %}",
    "%00",
    "\x00",
]
INJECTIONS += [
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "\ud800".encode("utf-8", "replace").decode(),
]


async def test_words_meant_as_code_stay_words_in_every_parameter(
    client: Client, world: World
) -> None:
    headers = people.bearer(world.everywhere)
    document = (await client.get("/openapi.json")).json()
    asked = 0
    for path, operations in document["paths"].items():
        operation = operations.get("get")
        if operation is None or path == "/v1/live":
            continue
        for parameter, words in itertools.product(operation.get("parameters", []), INJECTIONS):
            name, where = parameter["name"], parameter["in"]
            address = path.replace(f"{{{name}}}", words.replace("/", "%2F"))
            for other in ("{device}", "{datastream}", "{pilot}", "{finding}"):
                address = address.replace(other, "1")
            address = address.replace("{site}", OWN).replace("{service}", "SEC-02")
            told = await client.get(
                httpx.URL(access_world.HOST + address.replace("\x00", "%00")),
                params={name: words} if where == "query" else None,
                headers=headers,
            )
            assert told.status_code < 500, (path, name, words)
            assert "49" not in told.text or "49" in (await client.get(path, headers=headers)).text
            asked += 1
    assert asked > 200


async def test_words_meant_as_code_stay_words_in_every_form_and_page(
    client: Client, engine: Engine
) -> None:
    admin = as_session(access_world.session_of(engine, "everywhere"))
    for words in INJECTIONS:
        forms: list[tuple[str, dict[str, str]]] = [
            ("/findings/1/actions", {"action": "acknowledge", "note": words}),
            ("/findings/1/actions", {"action": words, "note": words}),
            ("/account/keys", {"name": words, "scopes": words, "sites": words, "days": words}),
            ("/account/keys", {"name": words}),
            ("/admin/users", {"name": words, "role": words, "sites": words}),
            ("/sign-in", {"name": words, "password": words, "next": words}),
            ("/sign-in/link", {"token": words, "password": words}),
        ]
        for path, form in forms:
            answer = await client.post(path, data=form, headers=admin)
            assert answer.status_code < 500, (path, words)
            assert "<script>alert" not in answer.text
        for path in ("/", "/findings", "/outcomes", "/admin/audit", "/sign-in", "/catalogue"):
            query = {"site": words, "actor": words, "object": words, "next": words, "after": words}
            answer = await client.get(path, params=query, headers=admin)
            assert answer.status_code == 200, (path, words)
            assert "<script>alert" not in answer.text
        await client.post("/findings/1/actions", data={"action": "reopen"}, headers=admin)
    audit_page = await client.get("/admin/audit", headers=admin)
    assert audit_page.status_code == 200
    shown = (await client.get("/findings/1", headers=admin)).text
    assert "{{7*7}}" in shown
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM site")) == 3
