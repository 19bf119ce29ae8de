"""Errors: always RFC 9457, never a 5xx for what a client sent, and no connection lost."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import Engine, text

from services.api import problem
from services.api.access.guard import OPEN, needs
from services.api.deps import Db
from shared.db import scope
from shared.settings import Access, Database
from tests.integration import api_world

pytestmark = pytest.mark.database
Client = httpx.AsyncClient


@pytest_asyncio.fixture
async def client(database: Database, engine: Engine) -> AsyncIterator[Client]:
    api_world.fill(engine)
    async with api_world.api(database) as client:
        yield client


def is_problem(answer: httpx.Response, status: int) -> dict[str, object]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == problem.MEDIA_TYPE
    body: dict[str, object] = answer.json()
    assert body["status"] == status
    assert body["detail"]
    return body


@pytest.mark.parametrize(
    "path",
    [
        "sites/nowhere",
        "pilots/99",
        "devices/99",
        "datastreams/99",
        "datastreams/99/readings",
        "catalogue/services/SEC-99",
        "live?site=nowhere",
        "live?site=cibinong&pilot=nope",
        "nothing",
        "sites/",
    ],
)
async def test_what_is_not_there_is_a_404_problem(client: Client, path: str) -> None:
    body = is_problem(await client.get(f"/v1/{path}"), 404)
    assert body["instance"] == f"/v1/{path.split('?')[0]}"


async def test_writing_is_a_405_problem(client: Client) -> None:
    answer = await client.post("/v1/sites", json={})
    is_problem(answer, 405)
    assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("sites?limit=0", "query.limit"),
        ("sites?limit=1001", "query.limit"),
        ("sites?limit=99999999999999999999999999", "query.limit"),
        ("sites?limit=NaN", "query.limit"),
        ("sites?cursor=abc", "query.cursor"),
        ("sites?cursor=-1", "query.cursor"),
        ("sites?cursor=1.2", "query.cursor"),
        ("findings?cursor=1", "query.cursor"),
        ("findings?active=1", "query.active"),
        ("findings?cursor=9999999999999999999999.1", "query.cursor"),
        ("pilots?origin=invented", "query.origin"),
        ("devices?site=%00", "query.site"),
        ("devices?site=a%00b", "query.site"),
        ("datastreams?property=%ED%A0%80", "query.property"),
        ("pilots/0", "path.pilot"),
        ("pilots/-1", "path.pilot"),
        ("pilots/2147483648", "path.pilot"),
        ("pilots/99999999999999999999", "path.pilot"),
        ("pilots/one", "path.pilot"),
        ("datastreams/1/readings?bucket=2h", "query.bucket"),
        ("datastreams/1/readings?format=xml", "query.format"),
        ("datastreams/1/readings?limit=10001", "query.limit"),
        ("datastreams/1/readings?from=yesterday", "query.from"),
        ("datastreams/1/readings?from=2026-03-01", "query.from"),
        ("datastreams/1/readings?from=2026-03-01T00:00:00", "query.from"),
        ("datastreams/1/readings?from=1772323200", "query.from"),
        ("datastreams/1/readings?from=2026-02-30T00:00:00Z", "query.from"),
        ("datastreams/1/readings?to=infinity", "query.to"),
        ("outcomes?versions=old", "query.versions"),
        ("ledger?cursor=1.2", "query.cursor"),
        ("live?max_events=0", "query.max_events"),
        ("findings?severity=grave", "query.severity"),
        ("findings?state=active", "query.state"),
        ("devices/1/uplinks?limit=101", "query.limit"),
        ("devices/1/uplinks?encoding=text", "query.encoding"),
        ("datastreams/1/readings?bucket=1m", "query.bucket"),
    ],
)
async def test_a_bad_value_is_a_422_problem_naming_it(
    client: Client, path: str, where: str
) -> None:
    body = is_problem(await client.get(f"/v1/{path}"), 422)
    errors = body["errors"]
    assert isinstance(errors, list)
    assert [fault["where"] for fault in errors] == [where]
    assert where in str(body["detail"])


@pytest.mark.parametrize("name", ["sites", "pilots", "devices", "datastreams", "latest"])
async def test_a_cursor_beyond_every_id_ends_the_list(client: Client, name: str) -> None:
    answer = await client.get(f"/v1/{name}", params={"cursor": "9" * 17})
    assert answer.json() == {"items": [], "next": None}


@pytest.mark.parametrize(
    "moment",
    [
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59.999999-12:00",
        "2016-12-31T23:59:60Z",
        "2026-03-01t00:00:00.123456789z",
    ],
)
@pytest.mark.parametrize("path", ["findings", "ledger", "datastreams/1/readings?bucket=1mo"])
async def test_every_rfc_3339_time_is_accepted(client: Client, path: str, moment: str) -> None:
    for end in ("from", "to"):
        url = httpx.URL(f"/v1/{path}").copy_add_param(end, moment)
        assert (await client.get(url)).status_code == 200


async def test_our_own_fault_is_a_500_problem_that_tells_nothing_and_loses_no_connection(
    client: Client,
) -> None:
    app = client.app  # type: ignore[attr-defined]

    @app.get("/v1/broken", dependencies=[needs("site:read")])
    async def _broken(connection: Db) -> None:
        await connection.execute(text("SELECT 1"))
        raise ValueError("a secret of the inside")

    for _ in range(3 * app.state.database.pool):
        answer = await client.get("/v1/broken")
        assert "secret" not in answer.text
        is_problem(answer, 500)
    assert app.state.engine.pool.checkedout() == 0


async def test_without_its_database_the_api_says_503(database: Database) -> None:
    async with api_world.api(database) as client:
        assert (await client.get("/healthz")).json() == {"ok": True, "database": "answers"}
    gone = Database(url="postgresql://lab@127.0.0.1:1/nowhere")
    async with api_world.api(gone, key=None, access=Access(public=True)) as client:
        is_problem(await client.get("/healthz"), 503)
        page = await client.get("/", headers={"accept-language": "id"})
        assert page.status_code == 503
        assert "Basis data sedang tidak menjawab" in page.text
        is_problem(await client.get("/v1/sites"), 503)


async def test_while_the_database_is_upgraded_the_api_says_503(
    client: Client, engine: Engine
) -> None:
    with engine.begin() as connection:
        scope.drop(connection)
    try:
        for path in ("/healthz", "/v1/sites"):
            told = is_problem(await client.get(path), 503)
            assert "lab db upgrade" in str(told["detail"])
    finally:
        with engine.begin() as connection:
            scope.apply(connection)
    assert (await client.get("/v1/sites")).status_code == 200


async def test_the_database_refuses_writes_of_the_api(client: Client) -> None:
    engine = client.app.state.engine  # type: ignore[attr-defined]
    async with engine.connect() as connection:
        with pytest.raises(Exception, match="read-only transaction"):
            await connection.execute(text("DELETE FROM ledger"))


async def test_head_answers_as_get_without_a_body(client: Client) -> None:
    for path in ("/v1/sites", "/v1/catalogue", "/healthz", "/openapi.json", "/findings"):
        whole, head = await client.get(path), await client.head(path)
        assert head.status_code == whole.status_code == 200
        assert head.content == b""
        assert head.headers["content-type"] == whole.headers["content-type"]
        assert head.headers["content-length"] == str(len(whole.content))
    assert (await client.head("/v1/sites/nowhere")).status_code == 404
    assert (await client.head("/v1/live")).status_code == 405  # it would never end


async def test_a_path_with_several_methods_names_them_all(client: Client) -> None:
    answer = await client.delete("/v1/findings/1/actions")
    is_problem(answer, 405)
    assert answer.headers["allow"] == "GET, POST"


async def test_unknown_parameters_are_refused_but_of_probes(client: Client) -> None:
    for path in ("live?sites=cibinong", "findings?sit=cibinong", "catalogue?lang=id"):
        body = is_problem(await client.get(f"/v1/{path}"), 422)
        assert "no such parameter; known: " in str(body["detail"])
    assert (await client.get("/healthz?cache=buster")).status_code == 200
    assert (await client.get("/findings?utm=x")).status_code == 200


async def test_an_unknown_page_is_a_page_and_an_unknown_path_of_programs_a_problem(
    client: Client,
) -> None:
    for path in ("/nothing", "/sites", "/v2/sites", "/devices/x", "/v1x"):
        answer = await client.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")
        assert "There is no such page" in answer.text
    for path in ("/v1", "/v1/nothing", "/static/nothing.js"):
        is_problem(await client.get(path), 404)


async def test_a_page_that_fails_is_a_page_that_tells_nothing_of_the_inside(client: Client) -> None:
    @client.app.get("/broken", dependencies=[OPEN])  # type: ignore[attr-defined]
    async def _broken() -> None:
        raise ValueError("a secret of the inside")

    answer = await client.get("/broken")
    assert answer.status_code == 500
    assert "This is our fault" in answer.text
    assert "secret" not in answer.text
