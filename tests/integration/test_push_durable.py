"""A database away or a kill between 2xx and commit: what was answered 2xx is stored."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from shared.embedded.nats import free_port
from shared.settings import Database
from tests.integration.ingest_bench import wait_healthy
from tests.integration.line import DatabaseLine, drawn
from tests.integration.push_bench import Asked, Pushing, plain, two_sites, until
from tests.integration.test_ingest_path import NOW

pytestmark = pytest.mark.database


@pytest.fixture
def sites(engine: Engine, apply_site: Callable[..., Any]) -> dict[str, tuple[str, str]]:
    return two_sites(engine, apply_site)


@pytest.fixture
def line(database: Database, tmp_path: Path) -> Iterator[DatabaseLine]:
    with drawn(database, tmp_path / "line") as line:
        yield line


def test_without_database_and_spool_it_is_503_and_with_a_spool_it_is_kept(
    line: DatabaseLine, engine: Engine, sites: dict[str, tuple[str, str]], tmp_path: Path
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
    line: DatabaseLine, engine: Engine, sites: dict[str, tuple[str, str]], tmp_path: Path
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
