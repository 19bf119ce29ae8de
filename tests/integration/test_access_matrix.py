"""Every route × everybody who could ask × what is theirs and what is not, from the route table."""

import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import insert

from services.api.access.guard import (
    OPEN,
    Guarded,
    Router,
    UndeclaredRoute,
    every,
    needs,
    require_guarded,
)
from services.api.access.own_page import csrf_token
from services.api.app import create_app
from shared.db import migrate, tables
from shared.db.engine import sync_engine
from shared.domain.permission import Role
from shared.settings import Database
from tests import people
from tests.integration import access_world, api_world
from tests.integration.access_rules import MATRIX
from tests.integration.access_world import World

pytestmark = pytest.mark.database

LETTER: Final[dict[Role, str]] = {"researcher": "R", "planner": "P", "operator": "O", "admin": "A"}
# What stands in a path: of the own site and of the other one.
THINGS: Final[dict[str, tuple[str, ...]]] = {
    **{name: ("1", "3") for name in ("device", "device_id:number")},
    "datastream": ("1", "5"),
    **{name: ("1", "2") for name in ("pilot", "pilot_id:number")},
    **{name: ("1", "4") for name in ("finding", "finding_id:number")},
    **{name: ("cibinong", "yangon") for name in ("site", "key")},
    "reject": tuple(f"00000000-0000-0000-0000-00000000000{site}" for site in (1, 2)),
    "task": ("1", "2"),
    "reject_id:uuid": tuple(f"00000000-0000-0000-0000-00000000000{site}" for site in (1, 2)),
    "service": ("SEC-02", "SEC-02"),
    "name": ("target", "target"),
    "what": ("enable", "enable"),
}
OF_THE_OTHER: Final = ('"yangon"', "Yangon")  # its key as a value, its name and zone
OF_NO_SITE: Final = ("{service}", "{name}")
FORMS: Final[dict[str, dict[str, Any]]] = {
    "POST /v1/findings/{finding}/actions": {"json": {"action": "acknowledge"}},
    "POST /v1/keys": {"json": {"name": "made"}},
    "POST /v1/redrive": {"json": {"site": "cibinong", "dry_run": True}},
    "POST /rejects/redrive": {"data": {"site": "cibinong", "dry_run": "yes"}},
    "POST /v1/reprocess": {
        "json": {"site": "cibinong", "of": "device", "key": "g1", "dry_run": True}
    },
    "POST /findings/{finding_id:number}/actions": {"data": {"action": "acknowledge"}},
    "POST /account/keys": {"data": {"name": "made"}},
    "POST /account/password": {"data": {"old": "x", "new": "a new and long password"}},
    "POST /admin/users": {"data": {"name": "target", "role": "planner"}},
}
# A stream does not end by itself: it is asked for a pilot that is not there.
QUERY: Final = {"GET /v1/live": "?pilot=nothing"}
PROGRAMS: Final = ("/v1/", "/metrics", "/healthz")


@dataclass(frozen=True)
class Asker:
    """Somebody who asks: what of MATRIX lets them in, how they show who they are."""

    letters: str
    headers: dict[str, str]
    via: str = "key"
    prefix: str = "00000000"  # of a key that is theirs

    def may(self, rule: str) -> bool:
        if rule == "open":
            return True
        who, _, only = rule.partition(" ")
        allowed = {*who.replace("E+O", "E")}
        return bool(allowed & {*self.letters}) and (only != "s" or self.via == "session")


def routes(app: FastAPI) -> list[tuple[str, str, str]]:
    """Method, path and their name in MATRIX of every route there is."""
    found = []
    for context in app.routes:
        prefix = getattr(getattr(context, "include_context", None), "prefix", "")
        for route in every([context]):
            if isinstance(route, APIRoute):
                for method in route.methods or ():
                    found.append((method, prefix + route.path))
    return [(method, path, f"{method} {path}") for method, path in found]


APP: Final = create_app(Database(url="postgresql://lab@/nowhere"))
ROUTES: Final = routes(APP)


@pytest.fixture(scope="module")
def world(new_database: Callable[[str], Database]) -> tuple[Database, World]:
    """A database of its own, as what is asked here changes it."""
    database = new_database(f"lab_access_{os.getpid()}")
    engine = sync_engine(database)
    migrate.upgrade(engine)
    made = access_world.fill(engine)
    people.add(engine, name="target")
    with engine.begin() as connection:  # something of the other site to be kept from
        finding = {**api_world._finding(5, 1), "pilot_id": 2}
        connection.execute(insert(tables.finding), finding)
        for site in (1, 2):  # sources and sites have the same numbers
            connection.execute(insert(tables.rejected), _reject(site))
            asked: dict[str, object] = {
                "kind": "redrive",
                "args": {},
                "state": "done",
                "site_id": site,
            }
            connection.execute(insert(tables.task), asked)
    engine.dispose()
    return database, made


def _reject(site: int) -> dict[str, object]:
    refused = {"scope": "message", "reason": "bad_json", "detail": "", "payload": b"{"}
    place = {"reject_id": THINGS["reject"][site - 1], "source_id": site, "topic": "a/b"}
    return {**refused, **place, "received_at": api_world.START}


@pytest_asyncio.fixture
async def client(world: tuple[Database, World]) -> AsyncIterator[httpx.AsyncClient]:
    async with access_world.running(world[0]) as (_, client):
        yield client


@pytest_asyncio.fixture
async def public(world: tuple[Database, World]) -> AsyncIterator[httpx.AsyncClient]:
    async with access_world.running(world[0], public=True) as (_, client):
        yield client


async def ask(
    client: httpx.AsyncClient, asker: Asker, method: str, path: str, *, own: bool
) -> httpx.Response:
    name = f"{method} {path}"
    for thing, (mine, others) in THINGS.items():
        path = path.replace(f"{{{thing}}}", mine if own else others)
    path = path.replace("{prefix}", asker.prefix if own else "0badc0de")
    client.cookies.clear()
    return await client.request(
        method, path + QUERY.get(name, ""), headers=asker.headers, **FORMS.get(name, {})
    )


def is_asked_to_sign_in(answer: httpx.Response) -> bool:
    if str(answer.url.path).startswith(PROGRAMS):
        return answer.status_code == 401 and "www-authenticate" in answer.headers
    return answer.status_code == 303 and answer.headers["location"].startswith("/sign-in?next=")


def by_key(made: World, role: Role) -> Asker:
    key = made.keys[role]
    return Asker(LETTER[role], people.bearer(key), prefix=key[4:12])


def by_session(made: World, role: Role) -> Asker:
    token = made.sessions[role]
    headers = {"cookie": f"livinglab={token}", "x-csrf-token": csrf_token(token)}
    return Asker(LETTER[role], headers, "session", made.keys[role][4:12])


def test_every_route_has_its_line_and_every_line_its_route() -> None:
    assert sorted(name for _, _, name in ROUTES) == sorted(MATRIX)


@pytest.mark.parametrize("how", [by_key, by_session])
@pytest.mark.parametrize("role", LETTER)
async def test_a_role_may_what_the_matrix_says_at_its_own_site_alone(
    client: httpx.AsyncClient,
    world: tuple[Database, World],
    how: Callable[[World, Role], Asker],
    role: Role,
) -> None:
    asker = how(world[1], role)
    for method, path, name in ROUTES:
        if MATRIX[name] == "open":
            continue  # asked by nobody below
        for own in (True, False):
            answer = await ask(client, asker, method, path, own=own)
            told = (name, own, answer.status_code, answer.text[:300])
            if not asker.may(MATRIX[name]):
                assert answer.status_code == 403, told
            elif own or "{" not in path or any(each in path for each in OF_NO_SITE):
                assert answer.status_code in (200, 201, 204, 303, 404, 409, 422), told
                assert answer.status_code != 404 or name in QUERY or not own, told
                assert not is_asked_to_sign_in(answer), told
            else:
                assert answer.status_code in (404, 422), told
            assert not any(each in answer.text for each in OF_THE_OTHER), told


async def test_nobody_is_asked_to_sign_in(
    client: httpx.AsyncClient, world: tuple[Database, World]
) -> None:
    for headers in (
        {},
        people.bearer(world[1].expired),
        people.bearer(world[1].revoked),
        people.bearer("lab_00000000_" + "x" * 43),
        {"authorization": "Basic YWRtaW46YWRtaW4="},
        {"cookie": "livinglab=admin"},
    ):
        asker = Asker("", headers)
        for method, path, name in ROUTES:
            answer = await ask(client, asker, method, path, own=True)
            told = (name, headers, answer.status_code, answer.text[:200])
            if MATRIX[name] != "open":
                assert is_asked_to_sign_in(answer), told
            else:
                assert answer.status_code < 500, told
                assert answer.status_code != 403 or name == "POST /sign-out", told


async def test_citizens_see_what_is_public_of_every_site_and_nothing_else(
    public: httpx.AsyncClient,
) -> None:
    for method, path, name in ROUTES:
        for own in (True, False):
            answer = await ask(public, Asker("C", {}), method, path, own=own)
            told = (name, own, answer.status_code, answer.text[:200])
            if "C" in MATRIX[name]:
                assert answer.status_code == 200, told
            elif MATRIX[name] != "open":
                assert is_asked_to_sign_in(answer), told


async def test_an_admin_of_every_site_may_everything(
    client: httpx.AsyncClient, world: tuple[Database, World]
) -> None:
    asker = Asker("E", people.bearer(world[1].everywhere), prefix=world[1].everywhere[4:12])
    for method, path, name in ROUTES:
        if MATRIX[name] == "open" or name.endswith("{prefix}/revoke"):
            continue
        for own in (True, False):
            answer = await ask(client, asker, method, path, own=own)
            person = MATRIX[name].endswith(" s")
            assert (answer.status_code == 403) == person, (name, answer.text[:200])
            assert answer.status_code < 500, name


def test_a_route_without_a_permission_cannot_be_made() -> None:
    router = Router()
    with pytest.raises(UndeclaredRoute, match="/x: name one permission"):
        router.get("/x")(lambda: None)
    with pytest.raises(UndeclaredRoute, match="/x: name one permission"):
        router.get("/x", dependencies=[OPEN, needs("site:read")])(lambda: None)
    with pytest.raises(UndeclaredRoute, match="'site:raed' is no permission"):
        needs("site:raed")
    with pytest.raises(UndeclaredRoute, match="/y: name one permission"):
        create_app(Database(url="postgresql://lab@/nowhere")).get("/y")(lambda: None)
    plain = FastAPI()
    plain.get("/z")(lambda: None)
    with pytest.raises(UndeclaredRoute, match="/z: make it with"):
        require_guarded([r for r in plain.routes if r.path == "/z"], frozenset())  # type: ignore[attr-defined]


def test_every_route_of_the_application_is_guarded() -> None:
    assert all(isinstance(r, Guarded) for r in every(APP.routes) if isinstance(r, APIRoute))
