"""`python -m tests.bench.workers`: a backlog drained by the MQTT inlet, by one worker and by two.

The same messages each time: what waits is held by a consumer that nobody reads, and each run begins
with a new queue, or an MQTT session of its own. Embedded PostgreSQL with fsync on. A run's rate is
taken between a tenth and nine tenths of it, so that starting and stopping do not count.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from nats.aio.client import Client
from sqlalchemy import Engine, text

from shared.db import migrate, sites
from shared.db.engine import sync_engine
from shared.embedded import nats, postgres
from shared.jetstream import PREFIX, QUEUE, STREAM, wanted
from shared.nats_client import ask, connected
from shared.settings import Database
from shared.site_file import parse
from tests.integration.mqtt_attempt import Attempt
from tests.integration.queue_world import Workers, workers

DEVICES = 500
VALUES = 3
PATIENCE_S = 600.0
FILTER = "livinglab/bench/+/up"
SESSION = "livinglab-bench-"
STORED = text("SELECT coalesce(sum(n), 0)::int FROM ledger WHERE kind = 'stored'")


def site() -> dict[str, Any]:
    """Devices without a profile: their properties name themselves."""
    devices = [{"key": f"d{n}", "source": "all", "origin": "simulated"} for n in range(DEVICES)]
    place = {"key": "bench", "name": "Bench", "zone": "UTC", "lat": 0, "lon": 0}
    return {
        "site": {**place, "stage": "foundation"},
        "sources": [{"key": "all", "adapter": "lab", "filters": [FILTER]}],
        "devices": devices,
    }


def message(n: int, begin: datetime) -> tuple[str, bytes]:
    """Number n: three readings of a time of its own, 1 kB."""
    at = (begin - timedelta(seconds=n // DEVICES)).isoformat()
    values = {"air_temperature": 20 + n % 97 / 10, "relative_humidity": n % 100, "pm2_5": n % 61}
    body = {"time": at, "seq": n, "values": values, "more": "x" * 850}
    return f"{PREFIX}livinglab.bench.d{n % DEVICES}.up", json.dumps(body).encode()


def at_nats(at: Workers, act: Callable[[Client], Awaitable[None]]) -> None:
    """Act as ingest's own user, who may do everything."""

    async def acted() -> None:
        account = {"user": at.at.place.username, "password": at.at.place.password}
        async with connected(
            at.settings.nats_addresses[0], at.at.place.tls_context, **account
        ) as c:
            await act(c)

    asyncio.run(acted())


def new_queue(at: Workers, name: str, action: str = "CREATE") -> None:
    """A consumer that begins with the first message there is; or its end."""
    config = {**wanted([FILTER]), "durable_name": name, "name": name}
    request = {"stream_name": STREAM, "action": "create", "config": config}
    body = request if action == "CREATE" else None

    async def made(client: Client) -> None:
        answer = await ask(client, f"$JS.API.CONSUMER.{action}.{STREAM}.{name}", body)
        assert "error" not in answer, answer

    at_nats(at, made)


def fill(at: Workers, most: int) -> None:
    """What waits, as NATS stores what comes over MQTT with QoS 1."""
    begin = datetime.now(UTC).replace(microsecond=0)

    async def filled(client: Client) -> None:
        for n in range(most):
            subject, body = message(n, begin)
            await client.publish(subject, body, headers={"Nmqtt-Pub": "1"})
            if n % 500 == 0:
                await client.flush()
        await client.flush()

    at_nats(at, filled)
    deadline = time.monotonic() + PATIENCE_S
    while at.kept() < most:
        assert time.monotonic() < deadline, at.kept()
        time.sleep(0.2)


class Moment(NamedTuple):
    """When so many were stored, and the CPU seconds of all workers by then."""

    at: float
    stored: int
    cpu_s: float


class Drained(NamedTuple):
    """Messages a second, and what one of them cost the workers' processors."""

    rate: float
    cpu_us: float


def drained(at: Workers, engine: Engine, most: int, count: int, **variables: str) -> Drained:
    """From a tenth to nine tenths; checks that each was stored once."""
    with engine.begin() as connection:
        connection.execute(
            text("TRUNCATE uplink, reading, reading_hourly, change, rejected, ledger, job")
        )
    for _ in range(count):
        at.start(**variables)
    seen: list[Moment] = []
    deadline = time.monotonic() + PATIENCE_S
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not seen or seen[-1].stored < most:
            assert time.monotonic() < deadline, seen[-1]
            stored = connection.scalar(STORED) or 0
            seen.append(Moment(time.monotonic(), stored, cpu_s(at)))
            time.sleep(0.02)
        assert connection.scalar(text("SELECT count(*) FROM reading")) == VALUES * most
    at.end()
    at.running.clear()
    begun = next(each for each in seen if each.stored >= most // 10)
    ended = next(each for each in seen if each.stored >= most * 9 // 10)
    done = ended.stored - begun.stored
    assert done, "too few messages for the size of a batch"
    cpu_us = (ended.cpu_s - begun.cpu_s) / done * 1e6
    return Drained(done / (ended.at - begun.at), cpu_us)


def cpu_s(at: Workers) -> float:
    """CPU seconds of the workers since they began."""
    ticks = 0
    for worker in at.running:
        words = Path(f"/proc/{worker.process.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def main(most: int, rounds: int) -> dict[str, Any]:
    """Drain the same backlog each way, in turn."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        with postgres.running(directory / "pg") as url:
            database = Database(url=url)
            engine = sync_engine(database)
            migrate.upgrade(engine)
            with engine.begin() as connection:
                sites.apply(connection, parse(site()))
            with workers(directory, database) as at:
                rates = compared(at, engine, most, rounds)
            engine.dispose()
    return {
        **{"nats": nats.version(), "messages": most, "load": os.getloadavg()[0]},
        "per_second": {way: [round(each.rate) for each in runs] for way, runs in rates.items()},
        "cpu_us": {way: [round(each.cpu_us) for each in runs] for way, runs in rates.items()},
    }


def compared(at: Workers, engine: Engine, most: int, rounds: int) -> dict[str, list[Drained]]:
    """Each way, round by round."""
    at.at.told("init")
    new_queue(at, QUEUE, "DELETE")
    new_queue(at, "keeper")
    for n in range(rounds):  # a session begins with what comes after it
        session = Attempt(at.at.place, f"{SESSION}{n}", clean=False)
        assert session.subscribe(FILTER)
        session.close()
    fill(at, most)
    rates: dict[str, list[Drained]] = {"mqtt": [], "one_worker": [], "two_workers": []}
    for n in range(rounds):
        over = {"LAB_INGEST_SOURCE": "mqtt", "LAB_MQTT_CLIENT_ID": f"{SESSION}{n}"}
        rates["mqtt"].append(drained(at, engine, most, 1, **over))
        for way, count in (("one_worker", 1), ("two_workers", 2)):
            new_queue(at, QUEUE)
            rates[way].append(drained(at, engine, most, count))
            new_queue(at, QUEUE, "DELETE")
    return rates


if __name__ == "__main__":
    sys.stdout.write(f"{json.dumps(main(int(sys.argv[1]), int(sys.argv[2])))}\n")
