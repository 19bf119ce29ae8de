"""Messages over HTTP: 2xx only when durable, by whoever may, and the same as over MQTT."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any

import pytest
from sqlalchemy import Engine

from shared.db import credentials
from shared.domain.permission import Role
from shared.embedded.nats import Broker
from shared.settings import Database
from tests import people
from tests.integration.ingest_bench import ingesting
from tests.integration.push_bench import Pushing, plain, two_sites, until
from tests.integration.test_ingest_path import EUI, chirpstack_up

pytestmark = pytest.mark.database


@pytest.fixture
def sites(engine: Engine, apply_site: Callable[..., Any]) -> dict[str, tuple[str, str]]:
    return two_sites(engine, apply_site)


@pytest.fixture
def pushing(
    database: Database, engine: Engine, sites: dict[str, tuple[str, str]]
) -> Iterator[Pushing]:
    assert sites
    running = Pushing(database, engine)
    yield running
    running.stop()


def test_what_is_answered_2xx_is_stored_and_the_same_by_mqtt_is_a_repeat(
    pushing: Pushing,
    sites: dict[str, tuple[str, str]],
    database: Database,
    engine: Engine,
    broker: Broker,
) -> None:
    told = pushing.post("cibinong.plain?device=g1", plain(1), auth=sites["cibinong.plain"])
    assert (told.status_code, told.content) == (204, b"")
    assert len(pushing.bench.rows("SELECT FROM reading")) == 1
    up, who = chirpstack_up(), sites["cibinong.chirpstack"]
    assert pushing.post("cibinong.chirpstack?event=up", up, auth=who).status_code == 204
    assert pushing.post("cibinong.chirpstack?event=up", up, auth=who).status_code == 204
    assert pushing.bench.counted() == {"stored": 2, "repeat": 1, "item:unmapped": 1}
    with ingesting(database, engine, broker) as bench:
        topic = f"application/{up['deviceInfo']['applicationId']}/device/{EUI}/event/up"
        bench.publish(topic, up)
        bench.publish("livinglab/cibinong/g1/up", plain(1))
        assert bench.settle(5) == {"stored": 2, "repeat": 3, "item:unmapped": 1}


KEYS: list[tuple[list[str], Role, list[str], int]] = [
    (["ingest:push"], "operator", ["cibinong"], 204),
    (["ingest:push"], "operator", [], 204),
    (["ingest:push"], "operator", ["bogor"], 403),
    (["ingest:push"], "researcher", ["cibinong"], 403),
    (["*:read"], "admin", [], 403),
]


def test_a_key_pushes_where_its_owner_may_and_nowhere_else(
    pushing: Pushing, engine: Engine
) -> None:
    keys = [people.add(engine, role, at, scopes=scopes) for scopes, role, at, _ in KEYS]

    def push(key: str) -> int:
        who = people.bearer(key)
        return pushing.post("cibinong.plain?device=g1", plain(2), headers=who).status_code

    until(lambda: push(keys[-1]), lambda status: status == 403)  # they are read every two seconds
    assert [push(key) for key in keys] == [expected for *_, expected in KEYS]
    noted = "SELECT FROM api_key WHERE last_used_at IS NOT NULL"
    until(lambda: pushing.bench.rows(noted), lambda rows: len(rows) == len(KEYS))


def test_wrong_credentials_are_told_and_many_of_them_bounded(
    pushing: Pushing, sites: dict[str, tuple[str, str]], engine: Engine
) -> None:
    right, body = sites["cibinong.plain"], plain(3)
    source = "cibinong.plain?device=g1"
    assert pushing.post(source, body, auth=right).status_code == 204
    elsewhere = pushing.post(source, body, auth=sites["bogor.plain"])
    assert elsewhere.status_code == 403
    assert pushing.post("bogor.plain?device=g1", body, auth=right).status_code == 403
    none = pushing.post(source, body)
    assert (none.status_code, none.json()["title"]) == (401, "Unauthorized")
    assert "Basic" in none.headers["WWW-Authenticate"]
    for wrong in (
        {"auth": (right[0], "guess")},
        {"auth": ("nobody.here", right[1])},
        {"auth": (right[0], right[1] + "x" * 80)},
        {"headers": {"Authorization": "Basic !!!"}},
        {"headers": {"Authorization": "Bearer lab_00000000_" + "a" * 43}},
        {"headers": {"Authorization": "Digest x"}},
    ):
        assert pushing.post(source, body, **wrong).status_code == 401, wrong
    guesses = [pushing.post(source, body, auth=(right[0], f"{i}")) for i in range(40)]
    assert guesses[-1].status_code == 429
    assert int(guesses[-1].headers["Retry-After"]) > 0
    assert pushing.post(source, body, auth=right).status_code == 204  # who was right goes on
    with engine.begin() as connection:
        credentials.revoke(connection, "cibinong/plain")
    until(
        lambda: pushing.post(source, body, auth=right),
        lambda told: told.status_code in (401, 429),
    )


BAD: list[tuple[str, object, int, str]] = [
    ("cibinong.plain", plain(1), 422, "?device=KEY"),
    ("cibinong.plain?device=%2B", plain(1), 422, "not among the source's filters"),
    ("cibinong.plain", b"{", 400, "bad_json"),
    ("cibinong.plain?device=g1", b"", 400, "empty"),
    ("cibinong.plain/x", plain(1), 404, "/v1/ingest/SITE.SOURCE"),
]


def test_bad_input_is_a_problem(pushing: Pushing, sites: dict[str, tuple[str, str]]) -> None:
    for path, body, status, told in BAD:
        answer = pushing.post(path, body, auth=sites["cibinong.plain"])
        assert answer.status_code == status, path
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert told in answer.json()["detail"]
    assert pushing.bench.counted() == {}


def test_a_body_declared_too_large_is_refused_before_it_is_sent(
    pushing: Pushing, sites: dict[str, tuple[str, str]]
) -> None:
    user = b64encode(":".join(sites["cibinong.plain"]).encode()).decode()
    line = HTTPConnection("127.0.0.1", pushing.port, timeout=30)
    line.putrequest("POST", "/v1/ingest/cibinong.plain?device=g1")
    line.putheader("Authorization", f"Basic {user}")
    line.putheader("Content-Length", "1100000")
    line.endheaders()
    answer = line.getresponse()
    assert answer.status == 413
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "1048576" in json.loads(answer.read())["detail"]
    line.close()


def test_what_the_pipeline_refuses_was_kept_among_the_rejects(
    pushing: Pushing, sites: dict[str, tuple[str, str]]
) -> None:
    who = sites["cibinong.plain"]
    assert pushing.post("cibinong.plain?device=g1", b"no json", auth=who).status_code == 204
    assert pushing.post("cibinong.plain?device=ghost", plain(1), auth=who).status_code == 204
    assert pushing.client.get("/v1/ingest/cibinong.plain", auth=who).status_code == 405
    assert pushing.bench.counted() == {"rejected:bad_json": 1, "rejected:unknown_device": 1}
