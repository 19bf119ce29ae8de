"""Keys: no more than their scopes and sites, not after their end, and never of others."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, Engine, text

from services.api.access.credentials import Credentials
from services.api.access.known import Known
from services.api.access.own_page import csrf_token
from shared.db.access import keys, principals
from shared.settings import Access
from tests import people
from tests.integration import access_world
from tests.integration.access_world import OWN, World, as_session, change

pytestmark = pytest.mark.database
Client = httpx.AsyncClient


async def test_a_form_without_the_sessions_own_token_does_nothing(
    client: Client, world: World, engine: Engine
) -> None:
    mine, other = world.sessions["operator"], world.sessions["admin"]
    shown = as_session(mine, csrf=False)
    attacks: list[dict[str, Any]] = [
        {"headers": shown},
        {"headers": {**shown, "x-csrf-token": ""}},
        {"headers": {**shown, "x-csrf-token": csrf_token(other)}},
        {"headers": {**shown, "x-csrf-token": "not hexadecimal"}},
        {"headers": {**as_session(mine), "sec-fetch-site": "cross-site"}},
        {"headers": {**as_session(mine), "sec-fetch-site": "same-site"}},
        {"headers": {**as_session(mine), "origin": "https://elsewhere.example"}},
        {"headers": {**as_session(mine), "origin": "null"}},
        {"headers": {**as_session(mine), "origin": "http://127.0.0.1:9999"}},
    ]
    for attack in attacks:
        for path, form in (
            ("/findings/1/actions", {"data": {"action": "close"}}),
            ("/v1/findings/1/actions", {"json": {"action": "close"}}),
            ("/account/keys", {"data": {"name": "x", "csrf": "x"}}),
        ):
            answer = await client.post(path, **form, **attack)  # type: ignore[arg-type]
            assert answer.status_code == 403, (path, attack)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM finding_action")) == 0
    own = {**as_session(mine), "sec-fetch-site": "same-origin", "origin": access_world.HOST}
    answer = await client.post("/findings/1/actions", data={"action": "close"}, headers=own)
    assert answer.status_code == 303


ENDINGS: list[Callable[[Connection, str], object]] = [
    lambda c, key: keys.revoke(c, keys.find(c, key[4:12]).id, datetime.now(UTC)),
    lambda c, _: principals.set_disabled(c, principals.find(c, "operator-own").id, disabled=True),
]


@pytest.mark.parametrize("ending", ENDINGS, ids=["revoked", "shut out"])
async def test_a_key_that_was_ended_elsewhere_is_refused_with_the_very_next_request(
    client: Client, world: World, engine: Engine, ending: Callable[[Connection, str], object]
) -> None:
    key = world.keys["operator"]
    for _ in range(3):
        assert (await client.get("/v1/devices", headers=people.bearer(key))).status_code == 200
    change(engine, lambda connection: ending(connection, key))
    answer = await client.get("/v1/devices", headers=people.bearer(key))
    assert answer.status_code == 401
    assert "revoked" in answer.json()["detail"]


async def test_a_role_that_was_taken_away_is_gone_with_the_very_next_request(
    client: Client, world: World, engine: Engine
) -> None:
    headers = people.bearer(world.keys["operator"])
    path = "/v1/devices/1/uplinks"
    assert (await client.get(path, headers=headers)).status_code == 200
    change(
        engine,
        lambda c: principals.set_grants(
            c, principals.find(c, "operator-own").id, principals.grants_at(c, ["planner"], [OWN])
        ),
    )
    assert (await client.get(path, headers=headers)).status_code == 403
    change(
        engine,
        lambda c: principals.set_grants(
            c, principals.find(c, "operator-own").id, principals.grants_at(c, ["operator"], [OWN])
        ),
    )
    assert (await client.get(path, headers=headers)).status_code == 200


async def test_a_key_may_no_more_than_its_scopes_and_sites(
    client: Client, world: World, engine: Engine
) -> None:
    headers = as_session(world.sessions["operator"])
    wanted = {"name": "levels", "scopes": ["reading:*", "site:read"], "days": 1}
    made = await client.post("/v1/keys", json=wanted, headers=headers)
    assert made.status_code == 201
    narrow = people.bearer(made.json()["key"])
    for path, status in (
        ("/v1/sites", 200),
        ("/v1/datastreams/1/readings", 200),
        ("/v1/datastreams/1/readings?format=csv", 200),
        ("/v1/devices", 403),
        ("/v1/keys", 403),
    ):
        assert (await client.get(path, headers=narrow)).status_code == status, path
    everywhere = people.add(engine, scopes=["*:read"])
    at = {"sites": [OWN], "name": "one site"}
    admin = access_world.session_of(engine, "everywhere")
    one = (await client.post("/v1/keys", json=at, headers=as_session(admin))).json()["key"]
    for key, sites in ((everywhere, 3), (one, 1)):
        found = (await client.get("/v1/sites", headers=people.bearer(key))).json()["items"]
        assert len(found) == sites
    assert (await client.get("/v1/users", headers=people.bearer(one))).status_code == 403
    for odd in (["x"], ["device:fly"], ["device:read "], ["'; --"], []):
        answer = await client.post("/v1/keys", json={**wanted, "scopes": odd}, headers=headers)
        assert answer.status_code == 422, odd


async def test_what_a_leaked_key_cannot_do(client: Client, world: World, engine: Engine) -> None:
    """Nothing that outlives its end, whatever its scopes and its owner."""
    key = people.bearer(world.everywhere)
    for path, form in (
        ("/admin/users", {"name": "eve", "role": "admin"}),
        ("/admin/users/operator-own/link", {}),
        ("/admin/users/operator-own/disable", {}),
        (f"/admin/keys/{world.keys['planner'][4:12]}/revoke", {}),
        ("/account/keys", {"name": "x"}),
        ("/account/password", {"old": people.PASSWORD, "new": "another quiet river"}),
    ):
        assert (await client.post(path, data=form, headers=key)).status_code == 403, path
    assert (await client.get("/v1/users", headers=key)).status_code == 200
    with engine.connect() as connection:
        assert "eve" not in [each.name for each in principals.listed(connection)]


async def test_an_admin_ends_keys_of_others_and_never_becomes_them(
    client: Client, world: World, engine: Engine
) -> None:
    admin = as_session(access_world.session_of(engine, "everywhere"))
    theirs = world.keys["operator"][4:12]
    answer = await client.post(f"/v1/keys/{theirs}/rotate", headers=admin)
    assert answer.status_code == 404
    assert (await client.delete(f"/v1/keys/{theirs}", headers=admin)).status_code == 204
    mine = people.bearer(world.keys["operator"])
    assert (await client.get("/v1/me", headers=mine)).status_code == 401


async def test_a_key_for_one_thing_sees_no_page_of_several(client: Client, engine: Engine) -> None:
    narrow = people.bearer(people.add(engine, scopes=["device:read", "reading:read", "site:read"]))
    wide = people.bearer(people.add(engine, scopes=["*:read"]))
    for path in ("/", "/devices/1", "/pilots/1", "/sites/cibinong"):
        assert (await client.get(path, headers=narrow)).status_code == 403, path
        assert (await client.get(path, headers=wide)).status_code == 200, path
    assert (await client.get("/v1/devices/1", headers=narrow)).status_code == 200


async def test_a_key_of_one_site_of_somebody_everywhere_sees_that_site(
    client: Client, engine: Engine
) -> None:
    admin = as_session(access_world.session_of(engine, "everywhere"))
    wanted = {"sites": [OWN], "name": "one site"}
    made = await client.post("/v1/keys", json=wanted, headers=admin)
    one = people.bearer(made.json()["key"])
    assert made.json()["sites"] == [OWN]
    page = (await client.get("/devices/1", headers=one)).text
    assert "As received" in page or "No message of this device is kept" in page
    for sites in ([], ["nowhere"]):
        answer = await client.post("/v1/keys", json={**wanted, "sites": sites}, headers=admin)
        assert answer.status_code == 422, sites


def test_what_is_read_before_a_change_is_not_remembered_after_it(
    world: World, engine: Engine
) -> None:
    """As when a key is revoked while another request has read it and not yet stored it."""
    known, now = Known(Access()), datetime.now(UTC)
    shown = Credentials("key", world.keys["operator"])
    known.forget(7)
    with engine.connect() as connection:
        assert known.look_up(connection, shown, now, version=6)
        assert known.remembered(shown, now) is None
        assert known.look_up(connection, shown, now, version=7)
        assert known.remembered(shown, now) is not None


async def test_a_replaced_key_goes_on_for_a_day_and_a_key_of_others_is_not_there(
    client: Client, world: World, engine: Engine
) -> None:
    headers = as_session(world.sessions["operator"])
    old = world.keys["operator"]
    answer = await client.post(f"/v1/keys/{old[4:12]}/rotate", headers=headers)
    assert answer.status_code == 201
    for key in (old, answer.json()["key"]):
        assert (await client.get("/v1/me", headers=people.bearer(key))).status_code == 200
    aged = "UPDATE api_key SET expires_at = expires_at - interval '24 h' WHERE prefix = :prefix"
    change(engine, lambda c: c.execute(text(aged), {"prefix": old[4:12]}))
    change(engine, lambda c: c.execute(text("UPDATE access_state SET version = version + 1")))
    assert (await client.get("/v1/me", headers=people.bearer(old))).status_code == 401
    others = world.keys["planner"][4:12]
    for method, path in (("POST", f"/v1/keys/{others}/rotate"), ("DELETE", f"/v1/keys/{others}")):
        assert (await client.request(method, path, headers=headers)).status_code == 404
    assert (
        await client.get("/v1/me", headers=people.bearer(world.keys["planner"]))
    ).status_code == 200


ODD_HEADERS = ["", "Bearer", "Bearer ", "bearer lab_", "Bearer " + "x" * 5000, "Token x"]
ODD_HEADERS += ["Bearer lab_00000000_" + "é" * 43, "Bearer \u0000".encode().decode()]


async def test_odd_keys_and_cookies_are_nobodys(client: Client, world: World) -> None:
    good = world.keys["admin"]
    tampered = [f"Bearer {each}" for each in (good[:-1], good + "x", good.swapcase(), good[::-1])]
    for header in (*ODD_HEADERS, *tampered):
        answer = await client.get(
            "/v1/sites",
            headers={"authorization": header.encode("utf-8")},  # type: ignore[dict-item]
        )
        assert answer.status_code == 401, header
    session = world.sessions["admin"]
    for value in (session[:-1], session + "x", session[::-1], "x" * 5000, '"', "%00", "a; b=c"):
        answer = await client.get("/v1/sites", headers={"cookie": f"livinglab={value}"})
        assert answer.status_code == 401, value
    both = {**people.bearer(world.revoked), **as_session(session)}
    assert (await client.get("/v1/sites", headers=both)).status_code == 401  # the key counts
