"""Messages over HTTP: 2xx only when durable, by whoever may, and the same as over MQTT."""

import json
import os
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from services.ingest.push import main
from shared.db import credentials
from shared.domain.permission import Role
from shared.embedded.nats import Broker, free_port
from shared.settings import Database, Ingest, Push
from tests import people
from tests.integration.ingest_bench import Bench, ingesting, wait_healthy
from tests.integration.line import Line, drawn
from tests.integration.test_ingest_path import EUI, NOW, chirpstack_up, site

pytestmark = pytest.mark.database
ELSEWHERE: dict[str, Any] = {
    "site": {**site()["site"], "key": "bogor", "name": "Bogor"},
    "sources": [{"key": "plain", "adapter": "lab", "filters": ["livinglab/bogor/#"]}],
}


class Pushing:
    """A running `lab push` in a thread, and somebody who pushes."""

    def __init__(self, database: Database, engine: Engine, **settings: Any) -> None:
        self.port, self.health_port = free_port(), free_port()
        pushed = {k: settings.pop(k) for k in [*settings] if k in Push.model_fields}
        push = Push(port=self.port, **pushed)
        ingest = Ingest(health_port=self.health_port, batch_ms=20, **settings)
        self._stop = threading.Event()
        self._worker = threading.Thread(
            target=main.run, args=(database, push, ingest, self._stop), daemon=True
        )
        self._worker.start()
        wait_healthy(self.health_port)
        self.bench = Asked(engine)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def post(self, source: str, body: object, **more: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post(f"/v1/ingest/{source}", content=content, **more)

    def state(self) -> dict[str, Any]:
        told = httpx.get(f"http://127.0.0.1:{self.health_port}/healthz")
        return dict(told.json())

    def stop(self) -> None:
        self.client.close()
        self._stop.set()
        self._worker.join(30)
        assert not self._worker.is_alive()


class Asked(Bench):
    """The questions of a bench, without its publisher."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine


@pytest.fixture
def sites(engine: Engine, apply_site: Callable[..., Any]) -> dict[str, tuple[str, str]]:
    """Two sites; user and password of a source of each."""
    apply_site(site())
    apply_site(ELSEWHERE)
    with engine.begin() as connection:
        return {
            name: credentials.replace(connection, name.replace(".", "/"))
            for name in ("cibinong.plain", "cibinong.chirpstack", "bogor.plain")
        }


@pytest.fixture
def pushing(
    database: Database, engine: Engine, sites: dict[str, tuple[str, str]]
) -> Iterator[Pushing]:
    assert sites
    running = Pushing(database, engine)
    yield running
    running.stop()


def plain(minute: int) -> dict[str, Any]:
    at = NOW - timedelta(minutes=minute)
    return {"time": at.isoformat(), "values": {"level": minute % 90}}


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


def until(ask: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + 20
    while not holds(told := ask()):
        assert time.monotonic() < deadline, told
        time.sleep(0.2)
    return told


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


@pytest.fixture
def line(database: Database, tmp_path: Path) -> Iterator[Line]:
    with drawn(database, tmp_path / "line") as line:
        yield line


def test_without_database_and_spool_it_is_503_and_with_a_spool_it_is_kept(
    line: Line, engine: Engine, sites: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    who, source = sites["cibinong.plain"], "cibinong.plain?device=g1"
    bare = Pushing(line.database, engine, timeout_s=1)
    kept = Pushing(line.database, engine, spool=tmp_path / "spool", spool_bytes=2**20)
    line.cut()
    refused = bare.post(source, plain(1), auth=who)
    assert (refused.status_code, int(refused.headers["Retry-After"]) > 0) == (503, True)
    assert [kept.post(source, plain(i), auth=who).status_code for i in range(20)] == [204] * 20
    large = json.dumps(plain(30)).encode().ljust(400_000)
    answers = [kept.post(source, large + b" " * i, auth=who) for i in range(5)]
    assert {each.status_code for each in answers} == {204, 503}
    assert "LAB_INGEST_SPOOL_BYTES" in kept.post(source, large, auth=who).json()["detail"]
    line.mend()
    bare.stop()
    until(kept.state, lambda state: bool(state["ok"]) and state["spool"]["messages"] == 0)
    assert len(kept.bench.rows("SELECT FROM reading")) == 21
    kept.stop()


def test_a_kill_between_2xx_and_commit_loses_nothing(
    line: Line, engine: Engine, sites: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    port, health_port, bench = free_port(), free_port(), Asked(engine)
    variables = {
        "LAB_DATABASE_URL": line.database.url,
        "LAB_PUSH_PORT": str(port),
        "LAB_INGEST_HEALTH_PORT": str(health_port),
        "LAB_INGEST_SPOOL": str(tmp_path / "spool"),
    }
    command = [sys.executable, "-m", "services.cli", "push"]
    process = subprocess.Popen(command, env={**os.environ, **variables})
    wait_healthy(health_port)
    accepted: list[int] = []

    def send(minute: int) -> None:
        try:
            told = client.post(
                f"http://127.0.0.1:{port}/v1/ingest/cibinong.plain?device=g1",
                json=plain(minute),
                auth=sites["cibinong.plain"],
            )
        except httpx.TransportError:  # killed meanwhile: its sender would send it again
            return
        if told.status_code == 204:
            accepted.append(minute)
        if len(accepted) == 20:
            process.kill()

    line.cut()
    with httpx.Client(timeout=30) as client, ThreadPoolExecutor(8) as pool:
        [*pool.map(send, range(60))]
    process.wait()
    assert len(accepted) > 0
    assert bench.rows("SELECT FROM reading") == []
    line.mend()
    process = subprocess.Popen(command, env={**os.environ, **variables})
    try:
        bench.settle(len(accepted))
        stored = {row["time"] for row in bench.rows("SELECT time FROM reading")}
        assert {NOW - timedelta(minutes=minute) for minute in accepted} <= stored
    finally:
        process.terminate()
        assert process.wait(30) == 0
