"""Signing in, and what attackers try there: guessing, fixing sessions, leading elsewhere."""

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta
from statistics import median

import httpx
import pytest
from sqlalchemy import Engine, text

from services.api.access.hashing import AT_ONCE, WAITING, Hashing
from services.api.access.own_page import csrf_token
from shared.db.access import back_off, principals, sessions
from shared.http.refusal import Refused
from tests import people
from tests.integration import access_world
from tests.people import PASSWORD

pytestmark = pytest.mark.database
Client = httpx.AsyncClient


@pytest.fixture
def client(door: Client) -> Client:
    return door


async def sign_in(client: Client, name: str = "dewi", password: str = PASSWORD, **more: str) -> int:
    form = {"name": name, "password": password, **more}
    return (await client.post("/sign-in", data=form)).status_code


async def is_in(client: Client) -> bool:
    return (await client.get("/account")).status_code == 200


def link_of(engine: Engine, name: str, hours: float = 1) -> str:
    with engine.begin() as connection:
        number = principals.find(connection, name).id
        return sessions.make_link(connection, number, datetime.now(UTC), timedelta(hours=hours))


def ask_database(engine: Engine, statement: str, **values: object) -> list[tuple[object, ...]]:
    with engine.begin() as connection:
        found = connection.execute(text(statement), values)
        return [tuple(row) for row in found] if found.returns_rows else []


async def test_a_password_lets_in_until_one_signs_out(client: Client, engine: Engine) -> None:
    answer = await client.post("/sign-in", data={"name": " Dewi ", "password": PASSWORD})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    assert await is_in(client)
    token = client.cookies["livinglab"]
    stored = ask_database(engine, "SELECT digest, address FROM session")
    assert len(stored) == 1
    assert token.encode() not in bytes(stored[0][0])  # type: ignore[arg-type]
    assert (await client.post("/sign-out")).status_code == 403  # no form of ours
    form = {"csrf": csrf_token(token)}
    assert (await client.post("/sign-out", data=form)).status_code == 303
    client.cookies.set("livinglab", token)
    assert not await is_in(client)


async def test_over_tls_the_cookie_is_of_this_host_alone(client: Client) -> None:
    form = {"name": "dewi", "password": PASSWORD}
    answer = await client.post("https://127.0.0.1:8000/sign-in", data=form)
    assert answer.headers["set-cookie"].startswith("__Host-livinglab=")
    assert "Secure" in answer.headers["set-cookie"]
    assert "strict-transport-security" in answer.headers


async def test_a_session_that_was_there_before_is_never_taken_over(client: Client) -> None:
    fixed = "attacker-" + "x" * 34
    client.cookies.set("livinglab", fixed)
    await sign_in(client)
    first = client.cookies.get("livinglab", domain="127.0.0.1")
    assert first not in (None, fixed)
    client.cookies.clear()
    client.cookies.set("livinglab", str(first))
    assert await is_in(client)
    await sign_in(client)  # again: the session of before has ended
    client.cookies.clear()
    client.cookies.set("livinglab", str(first))
    assert not await is_in(client)


@pytest.mark.parametrize(
    ("column", "age"), [("seen_at", "121 minutes"), ("created_at", "13 hours")]
)
async def test_a_session_ends_by_rest_and_by_age(
    client: Client, engine: Engine, column: str, age: str
) -> None:
    await sign_in(client)
    assert await is_in(client)
    ask_database(engine, f"UPDATE session SET {column} = now() - interval '{age}'")
    ask_database(engine, "UPDATE access_state SET version = version + 1")
    assert not await is_in(client)


async def test_who_does_not_know_the_password_learns_nothing(client: Client) -> None:
    wrong = await client.post("/sign-in", data={"name": "dewi", "password": "wrong"})
    nobody = await client.post("/sign-in", data={"name": "nobody", "password": "wrong"})
    assert wrong.status_code == nobody.status_code == 401
    assert wrong.text == nobody.text
    assert "set-cookie" not in wrong.headers


@pytest.mark.usefixtures("slow_passwords")
async def test_a_name_that_is_there_takes_as_long_as_one_that_is_not(client: Client) -> None:
    """Without a check of a password for nobody the ratio would be twenty and more."""
    took: dict[str, list[float]] = {"dewi": [], "nobody": []}
    for attempt in range(4):
        for name, times in took.items():
            began = time.perf_counter()
            await sign_in(client, name, f"wrong {attempt}")
            times.append(time.perf_counter() - began)
    ratio = median(took["dewi"]) / median(took["nobody"])
    assert 1 / 3 < ratio < 3


@pytest.mark.parametrize("name", ["dewi", "nobody"])
async def test_guessing_is_slowed_down_whether_or_not_there_is_such_a_name(
    client: Client, engine: Engine, name: str
) -> None:
    free = back_off.LIMITS["both"].free
    said = [await sign_in(client, name, f"guess {n}") for n in range(free + 1)]
    assert said == [401] * (free + 1)
    answer = await client.post("/sign-in", data={"name": name, "password": PASSWORD})
    assert answer.status_code == 429  # not even looked at
    assert int(answer.headers["retry-after"]) >= 1
    waits = []
    for _ in range(3):  # as if each wait were over
        ask_database(engine, "UPDATE sign_in_failure SET blocked_until = now()")
        await sign_in(client, name, "guess")
        waits += ask_database(
            engine,
            "SELECT round(extract(epoch FROM blocked_until - at)) FROM sign_in_failure"
            " WHERE who LIKE 'both:%'",
        )
    assert [int(str(wait)) for (wait,) in waits] == [2, 4, 8]
    ask_database(engine, "UPDATE sign_in_failure SET blocked_until = now()")
    assert await sign_in(client) == 303  # the owner's patience is rewarded
    stored = ask_database(engine, "SELECT who FROM sign_in_failure")
    assert not [who for (who,) in stored if name in str(who)]


async def test_more_who_wait_than_is_bearable_are_told_to_come_again() -> None:
    hashing, last = Hashing(), threading.Event()
    waiting = [asyncio.create_task(hashing.run(last.wait)) for _ in range(AT_ONCE + WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(Refused, match="too many people"):
        await hashing.run(last.wait)
    last.set()
    assert all(await asyncio.gather(*waiting))


async def test_guesses_sent_at_once_see_each_other(client: Client) -> None:
    guesses = [sign_in(client, password=f"guess {number}") for number in range(20)]
    said = await asyncio.gather(*guesses)
    assert said.count(401) == back_off.LIMITS["both"].free + 1
    assert said.count(429) == len(said) - said.count(401)


def test_one_who_guesses_does_not_shut_out_the_owner_elsewhere(engine: Engine) -> None:
    now = datetime.now(UTC)
    later = now + timedelta(hours=8)
    with engine.begin() as connection:

        def guess(address: str, at: datetime) -> float:
            return back_off.attempt(connection, "dewi", address, at)

        for minute in range(20):
            guess("203.0.113.7", now + timedelta(minutes=20 * minute))
        blocked = guess("203.0.113.7", now + timedelta(minutes=20 * 19, seconds=1))
        assert 800 < blocked <= 900
        assert guess("198.51.100.1", later) == 0
        for number in range(60):  # from ever new addresses: a little for everybody
            guess(f"192.0.2.{number}", later + timedelta(minutes=number))
        assert 0 < guess("198.51.100.1", later + timedelta(minutes=59, seconds=1)) <= 30
        assert guess("203.0.113.7", now + back_off.FORGOTTEN + timedelta(hours=10)) == 0


async def test_a_link_is_good_once_and_sets_the_password(client: Client, engine: Engine) -> None:
    other, token = link_of(engine, "dewi"), link_of(engine, "dewi")
    page = await client.get("/sign-in/link", params={"token": token})
    assert "dewi" in page.text
    assert page.headers["referrer-policy"] == "same-origin"
    assert page.headers["cache-control"] == "no-store"
    for short in ("short", "dewi dewi dewi dewi", "aaaaaaaaaaaaaaaaaa"):
        answer = await client.post("/sign-in/link", data={"token": token, "password": short})
        assert answer.status_code == 422
    new = "another quiet river"
    answer = await client.post("/sign-in/link", data={"token": token, "password": new})
    assert answer.status_code == 303
    assert await is_in(client)
    client.cookies.clear()
    for used in (token, other, "x", "", "\x00"):
        answer = await client.post("/sign-in/link", data={"token": used, "password": new})
        assert answer.status_code == 410, used
    assert await sign_in(client) == 401  # the old password
    assert await sign_in(client, password=new) == 303


async def test_of_two_who_use_a_link_at_once_one_is_let_in(client: Client, engine: Engine) -> None:
    token = link_of(engine, "dewi")
    answers = await asyncio.gather(
        *(
            client.post("/sign-in/link", data={"token": token, "password": f"{n} quiet rivers x"})
            for n in range(4)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [303, 410, 410, 410]


async def test_a_link_grows_old(client: Client, engine: Engine) -> None:
    token = link_of(engine, "dewi", hours=-0.01)
    assert (await client.get("/sign-in/link", params={"token": token})).status_code == 410


async def test_a_new_password_ends_every_other_session(client: Client, engine: Engine) -> None:
    elsewhere = access_world.session_of(engine, "dewi")
    await sign_in(client)
    token = client.cookies["livinglab"]
    new = "another quiet river"
    for old, status in (("wrong", 422), (PASSWORD, 303)):
        form = {"csrf": csrf_token(token), "old": old, "new": new}
        assert (await client.post("/account/password", data=form)).status_code == status
    assert await is_in(client)
    for ended in (elsewhere, token):
        client.cookies.clear()
        client.cookies.set("livinglab", ended)
        assert not await is_in(client)
    client.cookies.clear()
    assert await sign_in(client, password=new) == 303


async def test_machines_and_those_shut_out_cannot_sign_in(client: Client, engine: Engine) -> None:
    with engine.begin() as connection:
        grants = principals.grants_at(connection, ["operator"], [])
        principals.add(connection, "collector", grants, machine=True)
    people.add(engine, name="former")
    ask_database(engine, "UPDATE principal SET disabled_at = now() WHERE name = 'former'")
    for name in ("collector", "former"):
        assert await sign_in(client, name) == 401
