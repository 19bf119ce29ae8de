"""`make bench-audit`: what auditing costs a write, and how fast the log is sealed and verified.

Embedded PostgreSQL with fsync on. An operator's key acknowledges and reopens findings by the API's
own route; blocks with and without its entry alternate in the same run, while a sealer works each
second as it does in analytics.
"""

import asyncio
import io
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from fastapi import FastAPI
from sqlalchemy import Engine, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.analytics import runner
from services.analytics.audit import job, verify
from services.api.access import transaction
from services.api.app import create_app
from shared.db import audit, migrate
from shared.db.engine import sync_engine
from shared.embedded import postgres
from shared.settings import Access, Api, Audit, Database
from tests import people

Act = Callable[[int], Awaitable[None]]
Commit = Callable[[AsyncConnection, Sequence[audit.Entry]], Awaitable[None]]
audited = transaction.commit
ROWS = 1_000_000
BLOCKS = 100  # of each kind, short: neighbours meet the same weather
BLOCK_S = 0.25
WRITERS = (1, 8)
FINDINGS = 8
KEY = Audit(key="a-key-for-this-bench-only")
FILL = text("""
    INSERT INTO audit (actor, action, object, site_id, address, why, outcome, changed, values)
    SELECT 'user:' || n % 50, 'update', 'finding/' || n, n % 9, '192.0.2.' || n % 250,
           CASE WHEN n % 10 = 0 THEN 'asked by the duty officer' END, 'done',
           '{state,note}', jsonb_build_object('state', 'closed', 'severity', n % 4)
    FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n
""")
PLACE = f"""
    WITH place AS (
        INSERT INTO site (key, name, zone, lat, lon, stage)
        VALUES ('bench', 'Bench', 'UTC', 0, 0, 'foundation') RETURNING id
    ), tried AS (
        INSERT INTO pilot (site_id, key, service, phase, origin)
        SELECT id, 'p', 'SEC-02', 1, 'simulated' FROM place RETURNING id
    )
    INSERT INTO finding (pilot_id, kind, severity, started_at, origin)
    SELECT id, 'flood', 'alarm', now(), 'simulated' FROM tried, generate_series(1, {FINDINGS})
"""


class Writes(NamedTuple):
    """Writes a second of so many writers, block by block."""

    writers: int
    plain: list[float]
    audited: list[float]

    @property
    def cost(self) -> float:
        """Share of the throughput that auditing takes, by the medians of neighbouring blocks."""
        pairs = zip(self.plain, self.audited, strict=True)
        return 1 - statistics.median(audited / plain for plain, audited in pairs)


def route(app: FastAPI, key: str) -> Act:
    """The API's own route for what people do about a finding; without a network and its client."""
    told = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
    headers = [*told, (b"authorization", f"Bearer {key}".encode())]
    turns = {number: cycle(("acknowledge", "reopen")) for number in range(1, FINDINGS + 1)}
    server = {"type": "http", "method": "POST", "query_string": b"", "asgi": {"version": "3.0"}}
    server |= {"http_version": "1.1", "scheme": "http", "client": ("127.0.0.1", 1)}
    server |= {"server": ("127.0.0.1", 80), "root_path": "", "headers": headers}

    async def act(number: int) -> None:
        body = json.dumps({"action": next(turns[number]), "note": "seen on site"}).encode()
        path = f"/v1/findings/{number}/actions"
        said: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: MutableMapping[str, Any]) -> None:
            said.append(dict(message))

        await app({**server, "path": path, "raw_path": path.encode()}, receive, send)
        assert said[0]["status"] == 201, said

    return act


async def unaudited(connection: AsyncConnection, _: Sequence[audit.Entry]) -> None:
    """In the place of the commit that carries entries."""
    await audited(connection, ())


async def block(act: Act, writers: int, commit: Commit) -> float:
    """Writes a second of some writers at once, each at a finding of its own."""
    until, done = time.perf_counter() + BLOCK_S, 0

    async def keep_writing(number: int) -> None:
        nonlocal done
        while time.perf_counter() < until:
            await act(number)
            done += 1

    with patch.object(transaction, "commit", commit):
        begun = time.perf_counter()
        await asyncio.gather(*(keep_writing(number) for number in range(1, writers + 1)))
        return done / (time.perf_counter() - begun)


async def writes(act: Act, writers: int) -> Writes:
    ways: tuple[Commit, ...] = (unaudited, audited)
    for commit in ways:
        await block(act, writers, commit)  # caches and prepared statements
    measured = Writes(writers, [], [])
    for i in range(BLOCKS):
        for commit in ways if i % 2 else reversed(ways):
            rate = await block(act, writers, commit)
            (measured.plain if commit is unaudited else measured.audited).append(rate)
    return measured


async def written(database: Database, key: str) -> list[Writes]:
    app = create_app(database, access=Access(), api=Api(rate_per_address=0, rate_per_principal=0))
    async with app.router.lifespan_context(app):
        act = route(app, key)
        return [await writes(act, writers) for writers in WRITERS]


@contextmanager
def sealing(engine: Engine) -> Iterator[None]:
    """The job as analytics runs it, once a second."""
    stop, work = threading.Event(), job.job(KEY)

    def keep_sealing() -> None:
        while not stop.wait(job.EVERY_S):
            while runner.run_slice(engine, work):
                pass

    thread = threading.Thread(target=keep_sealing)
    thread.start()
    yield
    stop.set()
    thread.join()


def sealed_all(engine: Engine) -> float:
    """Seconds to seal all that waits."""
    begun, work = time.perf_counter(), job.job(KEY)
    while runner.run_slice(engine, work):
        pass
    return time.perf_counter() - begun


def verified(engine: Engine) -> tuple[float, verify.Report]:
    seen = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    begun = time.perf_counter()
    with seen.connect() as connection:
        report = verify.verify(connection, KEY.keys)
    return time.perf_counter() - begun, report


def measure(directory: Path) -> tuple[list[Writes], dict[str, float]]:
    with postgres.running(directory / "pg") as url:
        database = Database(url=url)
        engine = sync_engine(database)
        migrate.upgrade(engine)
        with engine.begin() as connection:
            connection.execute(text(PLACE))
        key = people.add(engine, "operator", ["bench"])
        with sealing(engine):
            seen = asyncio.run(written(database, key))
        sealed_all(engine)
        for first in range(1, ROWS, 100_000):
            with engine.begin() as connection:
                connection.execute(FILL, {"first": first, "last": first + 99_999})
        seal_s = sealed_all(engine)
        verify_s, found = verified(engine)
        assert found.broken is None, found
        engine.dispose()
    return seen, {"rows": found.rows, "verify_s": verify_s, "seal_s": seal_s}


def report(seen: list[Writes], chain: dict[str, float]) -> str:
    out = io.StringIO()
    out.write("| writers | a second | audited | cost |\n|---|---|---|---|\n")
    for each in seen:
        plain, audited = statistics.median(each.plain), statistics.median(each.audited)
        out.write(f"| {each.writers} | {plain:,.0f} | {audited:,.0f} | {each.cost:.1%} |\n")
    out.write(f"\n{ROWS:,} rows sealed in {chain['seal_s']:.1f} s, ")
    out.write(f"{chain['rows']:,.0f} verified in {chain['verify_s']:.1f} s\n")
    told = {f"writers_{each.writers}": round(each.cost, 4) for each in seen}
    out.write(json.dumps({**told, **{k: round(v, 2) for k, v in chain.items()}}) + "\n")
    return out.getvalue()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        sys.stdout.write(report(*measure(Path(name))))
