"""The gate before the application: whom it lets in, how often, and what every answer carries."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import Request
from sqlalchemy import Engine

from services.api.access.guard import OPEN
from services.api.app import create_app
from services.api.problem import MEDIA_TYPE
from shared.http import headers
from shared.settings import Api, Database
from tests.integration import api_world
from tests.integration.test_api_problems import is_problem

pytestmark = pytest.mark.database
HSTS = headers.UNDER_TLS["Strict-Transport-Security"]
Client = httpx.AsyncClient
NOWHERE = Database(url="postgresql://lab@127.0.0.1:1/nowhere")
PROXIED = {"host": "0.0.0.0", "url": "https://lab.example", "trusted_proxies": "10.0.0.0/8"}
CATALOGUE = "/openapi.json"  # needs no database


@pytest_asyncio.fixture
async def client(database: Database, engine: Engine) -> AsyncIterator[Client]:
    api_world.fill(engine)
    async with api_world.api(database) as client:
        yield client


@asynccontextmanager
async def coming_from(peer: str, **settings: Any) -> AsyncIterator[Client]:
    """A client at an address, asking under the server's own name."""
    app = create_app(NOWHERE, api=Api(**settings))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(peer, 4711))
    base = str(settings.get("url", "http://localhost")).replace("https", "http")
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=base) as client,
    ):
        client.app = app  # type: ignore[attr-defined]
        yield client


ANSWERS = (
    ("GET", "/", 200, headers.PAGE),
    ("GET", "/docs", 200, headers.PAGE),
    ("GET", "/nothing", 404, headers.PAGE),
    ("GET", "/static/pages.css", 200, headers.PAGE),
    ("GET", "/static/nothing.js", 404, headers.PAGE),
    ("GET", "/v1/sites", 200, headers.DATA),
    ("HEAD", "/v1/sites", 200, headers.DATA),
    ("GET", "/v1/datastreams/1/readings?format=csv", 200, headers.DATA),
    ("GET", "/v1/live?max_events=0", 422, headers.DATA),
    ("GET", "/v1/nothing", 404, headers.DATA),
    ("POST", "/v1/sites", 405, headers.DATA),
    ("OPTIONS", "/v1/sites", 405, headers.DATA),
    ("GET", "/v1/broken", 500, headers.DATA),
    ("GET", "/healthz", 200, headers.DATA),
    ("GET", "/metrics", 200, headers.DATA),
    ("GET", "/openapi.json", 200, headers.DATA),
)


async def test_every_answer_has_the_security_headers(client: Client) -> None:
    @client.app.get("/v1/broken", dependencies=[OPEN])  # type: ignore[attr-defined]
    async def _broken() -> None:
        raise ValueError

    for method, path, status, policy in ANSWERS:
        answer = await client.request(method, path)
        assert answer.status_code == status, path
        protected(answer, policy)


def protected(answer: httpx.Response, policy: str) -> None:
    for name, value in headers.ALWAYS.items():
        assert answer.headers.get_list(name) == [value]
    assert answer.headers.get_list("content-security-policy") == [policy]
    assert "unsafe" not in policy
    assert "server" not in answer.headers
    assert "strict-transport-security" not in answer.headers


async def test_what_the_gate_refuses_has_them_too() -> None:
    async with coming_from("192.0.2.7", rate_per_address=1) as client:
        protected(await client.get(CATALOGUE, headers={"host": "evil.example"}), headers.DATA)
        protected(await client.post("/", content=b"x" * 2**20), headers.DATA)
        answer = await client.get("/")
        assert answer.status_code == 429
        protected(answer, headers.DATA)


FOREIGN = (
    *("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "lab.example."),
    *("localhost@evil.example", "evil.example/localhost", "evil.example#localhost"),
    *("[", "", "\xff"),
)


async def test_another_host_name_is_refused_and_never_repeated() -> None:
    async with coming_from("127.0.0.1", url="https://lab.example") as client:
        for host, path in product(FOREIGN, (CATALOGUE, "/", "/docs")):
            answer = await client.get(path, headers={"host": host.encode("latin-1")})
            told = is_problem(answer, 421)
            assert told["instance"] == path
            assert "evil" not in answer.text
            assert "LAB_API_URL" in str(told["detail"])


async def test_our_own_names_are_let_in_on_any_port() -> None:
    async with coming_from("127.0.0.1", url="https://lab.example") as client:
        for host in ("localhost", "127.0.0.1:8000", "[::1]:81", "LAB.example:443"):
            assert (await client.get(CATALOGUE, headers={"host": host})).status_code == 200


async def test_a_probe_may_use_any_name(client: Client) -> None:
    answer = await client.get("/healthz", headers={"host": "10.1.2.3:8000"})
    assert answer.json() == {"ok": True, "database": "answers"}


async def test_two_hosts_are_one_too_many() -> None:
    async with coming_from("127.0.0.1") as client:
        twice = [("host", "localhost"), ("host", "evil.example")]
        is_problem(await client.get(CATALOGUE, headers=twice), 421)


async def test_behind_a_proxy_the_client_is_who_the_proxy_heard() -> None:
    async with coming_from("10.0.0.1", **PROXIED, rate_per_address=2) as client:
        seen = remembered(client)
        for number in range(5):  # a bucket for each client, none for the proxy
            said = {"x-forwarded-for": f"192.0.2.{number}", "x-forwarded-proto": "https"}
            answer = await client.get("/seen", headers=said)
            assert answer.status_code == 200
            assert answer.headers["strict-transport-security"] == HSTS
        assert seen[-1] == ("192.0.2.4", "https")


async def test_a_client_cannot_forge_its_address_to_be_served_more_often() -> None:
    async with coming_from("192.0.2.7", rate_per_address=2) as client:
        seen = remembered(client)
        forged = [{"x-forwarded-for": f"198.51.100.{n}"} for n in range(4)]
        told = [(await client.get("/seen", headers=each)).status_code for each in forged]
        assert told == [200, 200, 429, 429]
        assert set(seen) == {("192.0.2.7", "http")}
    async with coming_from("10.0.0.1", **PROXIED, rate_per_address=2) as client:
        forged = [{"x-forwarded-for": f"198.51.100.{n}, 192.0.2.7"} for n in range(4)]
        told = [(await client.get(CATALOGUE, headers=each)).status_code for each in forged]
        assert told == [200, 200, 429, 429]


def remembered(client: Client) -> list[tuple[str, str]]:
    """Adds a route that notes what the application is told of the client."""
    seen: list[tuple[str, str]] = []

    async def _seen(request: Request) -> None:
        seen.append((request.state.address, request.url.scheme))

    client.app.get("/seen", dependencies=[OPEN])(_seen)  # type: ignore[attr-defined]
    return seen


async def test_past_the_proxy_plain_http_is_refused() -> None:
    async with coming_from("192.0.2.7", **PROXIED) as client:
        forged = {"x-forwarded-proto": "https", "x-forwarded-for": "10.0.0.1"}
        for path in (CATALOGUE, "/", "/healthz"):
            told = is_problem(await client.get(path, headers=forged), 403)
            assert "LAB_API_TRUSTED_PROXIES" in str(told["detail"])
    for peer in ("10.0.0.1", "127.0.0.1"):
        async with coming_from(peer, **PROXIED) as client:
            assert (await client.get(CATALOGUE)).status_code == 200
    # The machine's own health check, at the address it listens on.
    own = PROXIED | {"host": "192.0.2.7", "url": "http://192.0.2.7"}
    async with coming_from("192.0.2.7", **own) as client:
        assert (await client.get(CATALOGUE)).status_code == 200


async def test_who_asks_too_often_is_told_when_to_go_on() -> None:
    async with coming_from("192.0.2.7", rate_per_address=3) as client:
        assert [(await client.get(CATALOGUE)).status_code for _ in range(3)] == [200] * 3
        answer = await client.get(CATALOGUE)
        is_problem(answer, 429)
        assert 1 <= int(answer.headers["retry-after"]) <= 20
        for _ in range(9):
            assert (await client.get("/static/pages.css")).status_code == 200
        assert (await client.get("/healthz")).status_code == 503  # answered: the database is not


async def test_a_body_may_be_so_large_and_no_larger(client: Client) -> None:
    most = client.app.state.api.body_bytes  # type: ignore[attr-defined]
    path = "/v1/findings/1/actions"
    for large in (b"x" * (most + 1), chunks(most + 1)):
        answer = await client.post(path, content=large)
        is_problem(answer, 413)
        assert answer.headers["connection"] == "close"
    for fitting in (b"x" * most, chunks(most)):
        assert (await client.post(path, content=fitting)).status_code in (400, 422)
    act = {"action": "acknowledge", "by": "duty operator"}
    assert (await client.post(path, json=act)).status_code == 201


async def chunks(size: int) -> AsyncIterator[bytes]:
    for at in range(0, size, 1000):
        yield b"x" * min(1000, size - at)


async def test_no_other_site_may_read_unless_it_is_named() -> None:
    asking = {"origin": "https://a.example", "access-control-request-method": "GET"}
    async with coming_from("127.0.0.1") as client:
        for answer in (
            await client.get(CATALOGUE, headers=asking),
            await client.options(CATALOGUE, headers=asking),
        ):
            assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_named_site_may_read_data_and_nothing_else() -> None:
    named, other = {"origin": "https://a.example"}, {"origin": "https://b.example"}
    asking = {
        "access-control-request-method": "GET"
    }  # answered 401: what counts is who may read it
    async with coming_from("127.0.0.1", cors_origins="https://a.example") as client:
        answer = await client.get("/v1/catalogue", headers=named)
        assert answer.headers["access-control-allow-origin"] == "https://a.example"
        assert "Origin" in answer.headers["vary"]
        preflight = await client.options("/v1/catalogue", headers={**named, **asking})
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-methods"] == "GET"
        assert "Authorization" in preflight.headers["access-control-allow-headers"]
        closed = [
            await client.get("/v1/catalogue", headers=other),
            await client.options("/v1/catalogue", headers={**other, **asking}),
            await client.get("/docs", headers=named),
            await client.post("/v1/findings/1/actions", headers=named, json={}),
        ]
        for each in closed:
            assert "access-control-allow-origin" not in each.headers
        for each in (answer, preflight, *closed):
            assert "access-control-allow-credentials" not in each.headers


TAMPERED = (
    "lang=../../etc/passwd",
    "lang=%00",
    "lang=" + "x" * 4000,
    "lang",
    ";;;=",
    'lang="\\',
    "\xff",
)


async def test_a_tampered_cookie_changes_nothing(client: Client) -> None:
    for cookie in TAMPERED:
        answer = await client.get("/findings", headers={"cookie": cookie.encode("latin-1")})
        assert answer.status_code == 200
        assert '<html lang="en"' in answer.text
        assert "set-cookie" not in answer.headers


async def test_the_cookie_of_the_language_is_not_for_scripts_and_secure_under_tls() -> None:
    async with coming_from("10.0.0.1", **PROXIED) as client:
        for proto, secure in (("https", True), ("http", False)):
            answer = await client.get("/docs?lang=id", headers={"x-forwarded-proto": proto})
            said = answer.headers["set-cookie"].lower()
            assert ("; secure" in said) == secure
            assert "; httponly" in said
            assert "; samesite=lax" in said


async def test_refusals_are_problems_for_pages_as_well() -> None:
    async with coming_from("192.0.2.7", rate_per_address=1) as client:
        await client.get("/docs")
        assert (await client.get("/docs")).headers["content-type"] == MEDIA_TYPE
