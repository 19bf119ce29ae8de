"""A paused or locked database hangs nothing for ever, and what was tried twice is stored once."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from shared.embedded.nats import Broker
from shared.settings import Database
from tests.integration.ingest_bench import Bench, ingesting
from tests.integration.test_ingest_path import site
from tests.integration.test_ingest_spool import plain, stored

pytestmark = pytest.mark.database
DEADLINE_S = 0.5


@pytest.fixture
def bench(
    database: Database, engine: Engine, broker: Broker, apply_site: Callable[..., Any]
) -> Iterator[Bench]:
    apply_site(site())
    with ingesting(database, engine, broker, deadline_s=DEADLINE_S) as bench:
        yield bench


@contextmanager
def paused(bench: Bench) -> Iterator[None]:
    """The whole server stands still, as in a frozen container."""
    (row,) = bench.rows("SELECT pg_backend_pid() AS pid")
    children = _parents()
    server = children[row["pid"]]
    processes = [server, *(pid for pid, parent in children.items() if parent == server)]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


def _parents() -> dict[int, int]:
    found = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            found[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    return found


def healthy(bench: Bench) -> bool:
    state = httpx.get(f"http://127.0.0.1:{bench.health_port}/healthz").json()
    return bool(state["database"])


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.skipif(
    "LAB_TEST_DATABASE_URL" in os.environ, reason="only a server of our own can be paused"
)
def test_a_paused_server_is_given_up_and_every_message_is_stored_once(bench: Bench) -> None:
    bench.publish_all(plain(0, 10))
    stored(bench, 10)
    with paused(bench):
        bench.publish_all(plain(10, 60))
        until(lambda: not healthy(bench))
    bench.publish_all(plain(60, 70))
    stored(bench, 70)
    until(lambda: healthy(bench))


def test_what_takes_longer_than_the_deadline_is_given_more_time_and_stored_once(
    bench: Bench, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE reading IN ACCESS EXCLUSIVE MODE"))
        bench.publish_all(plain(0, 10))
        until(lambda: not healthy(bench))
    stored(bench, 10)
