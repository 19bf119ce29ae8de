"""Servers, processes and their CPU time for the benches of ingest."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
from sqlalchemy.engine import make_url

from shared.db import migrate, sites
from shared.db.engine import connect, sync_engine
from shared.embedded import nats, postgres
from shared.settings import Database
from shared.site_file import parse
from tests.bench import ingest_messages
from tests.integration.ingest_bench import wait_healthy

PATIENCE_S: Final = 900.0
STORED: Final = "SELECT coalesce(sum(n), 0)::int FROM ledger WHERE kind = 'stored'"
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass
class World:
    """What is measured on; `sent` uplinks were published so far, and every one is new."""

    database: Database
    broker: nats.Broker
    sent: int = 0


@contextmanager
def world() -> Iterator[World]:
    """A database with the devices, and a broker."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        with server(directory) as url, database(url) as made, nats.running(directory / "nats") as b:
            add_devices(made)
            yield World(made, b)


@contextmanager
def server(directory: Path) -> Iterator[str]:
    """Its URL: of the one LAB_TEST_TIMESCALE_URL names, or of an embedded one."""
    named = os.environ.get("LAB_TEST_TIMESCALE_URL")
    with nullcontext(named) if named else postgres.running(directory / "pg") as url:
        yield url


@contextmanager
def database(server: str, name: str = "lab_bench") -> Iterator[Database]:
    """An empty one on a server, dropped in the end."""
    with connect(Database(url=server), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {name}")
        yield Database(url=make_url(server).set(database=name).render_as_string(False))
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def add_devices(made: Database) -> None:
    """The tables, and the thousand devices."""
    engine = sync_engine(made)
    migrate.upgrade(engine)
    with engine.begin() as connection:
        sites.apply(connection, parse(ingest_messages.site()))
    engine.dispose()


def publishing(world: World, count: int, per_second: float = 0) -> subprocess.Popen[bytes]:
    """The next so many uplinks, from a process of its own."""
    numbers = (str(world.sent), str(count), str(per_second))
    world.sent += count
    return subprocess.Popen(
        [sys.executable, "-m", "tests.bench.ingest_messages", world.broker.url, *numbers]
    )


def publish(world: World, count: int) -> None:
    """Until the broker has confirmed them."""
    if publishing(world, count).wait(PATIENCE_S):
        raise SystemExit("the publisher failed: see above")


@contextmanager
def ingesting(world: World, workers: int = 0) -> Iterator[list[int]]:
    """`lab ingest` as its users run it, healthy; process ids. workers: of NATS's queue, which
    keeps what is published from now on; 0: one over MQTT."""
    variables = {"LAB_DATABASE_URL": world.database.url, "LAB_MQTT_URL": world.broker.url}
    if workers:
        user = urlsplit(world.broker.url).netloc.rpartition("@")[0]
        place = world.broker.admin_url.rpartition("@")[2]
        variables["LAB_INGEST_SOURCE"] = "jetstream"
        variables["LAB_INGEST_NATS_URL"] = f"nats://{user}@{place}"
        subprocess.run(
            _lab("broker", "init"),
            env={**os.environ, **variables},
            check=True,
            stdout=subprocess.DEVNULL,
        )
    with ExitStack() as running:
        pids = [running.enter_context(_worker(variables)) for _ in range(workers or 1)]
        yield pids


@contextmanager
def _worker(variables: dict[str, str]) -> Iterator[int]:
    port = nats.free_port()
    told = {**os.environ, **variables, "LAB_INGEST_HEALTH_PORT": str(port)}
    process = subprocess.Popen(_lab("ingest"), env=told)
    try:
        wait_healthy(port)
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def _lab(*words: str) -> list[str]:
    return [sys.executable, "-m", "services.cli", *words]


def polled(connection: psycopg.Connection[Any], sql: str, every_s: float) -> Iterator[int]:
    """The answer to a question, again and again, for a while."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        yield connection.execute(sql).fetchall()[0][0]
        time.sleep(every_s)


def cpu_clock(world: World, clients: Sequence[int]) -> Callable[[], dict[str, float]]:
    """A clock of the seconds that the clients, the broker and the database have computed."""
    with connect(world.database, autocommit=True) as connection:
        postmaster = _parent(connection.info.backend_pid)
    broker = world.broker.child.process.pid
    return lambda: {
        "client": sum(map(_cpu_s, clients)),
        "broker": _cpu_s(broker),
        "database": _family_cpu_s(postmaster),
    }


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # has ended
        return ["0"] * 20


def _parent(pid: int) -> int:
    return int(_stat(pid)[1])


def _cpu_s(pid: int) -> float:
    return sum(map(int, _stat(pid)[11:13])) / _TICKS


def _family_cpu_s(parent: int) -> float:
    """Of a process, its children that have ended, and those that run."""
    pids = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]
    running = sum(_cpu_s(pid) for pid in pids if _parent(pid) == parent)
    return _cpu_s(parent) + sum(map(int, _stat(parent)[13:15])) / _TICKS + running
