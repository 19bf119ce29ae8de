"""`make bench-audit`: what auditing costs a write, and how fast the log is sealed and verified.

Embedded PostgreSQL with fsync on. Writes with and without an entry alternate in short blocks of the
same run, through the API's own kind of engine, while a sealer works each second as it does in
analytics.
"""

import asyncio
import io
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import Engine, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.analytics import runner
from services.analytics.audit import job, verify
from services.api import handling
from shared.db import audit, migrate
from shared.db.engine import async_engine, sync_engine
from shared.db.tables import finding, finding_action
from shared.embedded import postgres
from shared.settings import Audit, Database

Act = Callable[[int, bool], Awaitable[None]]
ROWS = 1_000_000
BLOCKS = 40  # of each kind, short: neighbours meet the same weather
BLOCK_S = 0.5
KINDS = (("transaction", 1), ("transaction", 8), ("request", 1), ("request", 8))
KEY = Audit(key="a-key-for-this-bench-only")
FILL = text("""
    INSERT INTO audit (actor, action, object, site_id, address, why, outcome, changed, values)
    SELECT 'user:' || n % 50, 'update', 'finding/' || n, n % 9, '192.0.2.' || n % 250,
           CASE WHEN n % 10 = 0 THEN 'asked by the duty officer' END, 'done',
           '{state,note}', jsonb_build_object('state', 'closed', 'severity', n % 4)
    FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n
""")
FINDINGS = """
    WITH place AS (
        INSERT INTO site (key, name, zone, lat, lon, stage)
        VALUES ('bench', 'Bench', 'UTC', 0, 0, 'foundation') RETURNING id
    ), tried AS (
        INSERT INTO pilot (site_id, key, service, phase, origin)
        SELECT id, 'p', 'SEC-02', 1, 'simulated' FROM place RETURNING id
    )
    INSERT INTO finding (pilot_id, kind, severity, started_at, origin)
    SELECT id, 'flood', 'alarm', now(), 'simulated' FROM tried, generate_series(1, 8)
"""


class Writes(NamedTuple):
    """Writes a second of one way of writing, block by block."""

    what: str
    writers: int
    plain: list[float]
    audited: list[float]

    @property
    def cost(self) -> float:
        """Share of the throughput that auditing takes, by the medians of neighbouring blocks."""
        pairs = zip(self.plain, self.audited, strict=True)
        return 1 - statistics.median(audited / plain for plain, audited in pairs)


def entry(number: int) -> audit.Entry:
    return audit.Entry(
        actor="user:duty",
        action="update",
        object=f"finding/{number}",
        site_id=1,
        address="192.0.2.17",
        why="seen on site",
        changed=("state", "note"),
        values={"state": "acknowledged"},
    )


class Asked(BaseModel):
    """What a client sends to acknowledge a finding."""

    action: str
    by: str
    note: str


async def write(engine: AsyncEngine, number: int, asked: Asked, audited: bool) -> dict[str, Any]:
    """What acknowledging a finding does, in one transaction, as the API does it."""
    async with engine.begin() as connection:
        known = select(finding.c.id).where(finding.c.id == number)
        await connection.scalar(known.with_for_update(key_share=True))
        await connection.scalar(select(handling.state()).where(finding.c.id == number))
        values = {**asked.model_dump(), "finding_id": number}
        made = insert(finding_action).values(**values).returning(finding_action)
        row = (await connection.execute(made)).one()
        if audited:
            await audit.record(connection, entry(number))
    return dict(row._mapping)


def transactions(engine: AsyncEngine) -> Act:
    """The transaction alone."""
    asked = Asked(action="acknowledge", by="duty", note="seen on site")

    async def act(number: int, audited: bool) -> None:
        await write(engine, number, asked, audited)

    return act


def requests(engine: AsyncEngine) -> Act:
    """A request to an API of this one route, without a network and its client."""
    app = FastAPI()

    @app.post("/findings/{number}/actions/{audited}")
    async def route(number: int, audited: bool, asked: Asked) -> dict[str, Any]:
        return await write(engine, number, asked, audited)

    async def act(number: int, audited: bool) -> None:
        body = b'{"action": "acknowledge", "by": "duty", "note": "seen on site"}'
        path = f"/findings/{number}/actions/{audited}"
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b""}
        scope |= {"headers": [(b"content-type", b"application/json")], "asgi": {"version": "3.0"}}
        said: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: dict[str, Any]) -> None:
            said.append(message)

        await app(scope, receive, send)
        assert said[0]["status"] == 200, said

    return act


async def block(act: Act, writers: int, audited: bool) -> float:
    """Writes a second of some writers at once, each at a finding of its own."""
    until, done = time.perf_counter() + BLOCK_S, 0

    async def keep_writing(number: int) -> None:
        nonlocal done
        while time.perf_counter() < until:
            await act(number, audited)
            done += 1

    begun = time.perf_counter()
    await asyncio.gather(*(keep_writing(number) for number in range(1, writers + 1)))
    return done / (time.perf_counter() - begun)


async def writes(database: Database, what: str, writers: int) -> Writes:
    engine = async_engine(database)
    act = {"transaction": transactions, "request": requests}[what](engine)
    measured = Writes(what, writers, [], [])
    for audited in (False, True):
        await block(act, writers, audited)  # caches and prepared statements
    for i in range(BLOCKS):
        for audited in (False, True) if i % 2 else (True, False):
            rate = await block(act, writers, audited)
            (measured.audited if audited else measured.plain).append(rate)
    await engine.dispose()
    return measured


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
            connection.execute(text(FINDINGS))
        with sealing(engine):
            written = [asyncio.run(writes(database, *kind)) for kind in KINDS]
        sealed_all(engine)
        for first in range(1, ROWS, 100_000):
            with engine.begin() as connection:
                connection.execute(FILL, {"first": first, "last": first + 99_999})
        seal_s = sealed_all(engine)
        verify_s, found = verified(engine)
        assert found.broken is None, found
        engine.dispose()
    return written, {"rows": found.rows, "verify_s": verify_s, "seal_s": seal_s}


def report(written: list[Writes], chain: dict[str, float]) -> str:
    out = io.StringIO()
    out.write("| what | writers | a second | audited | cost |\n|---|---|---|---|---|\n")
    for each in written:
        plain, audited = statistics.median(each.plain), statistics.median(each.audited)
        out.write(
            f"| {each.what} | {each.writers} | {plain:,.0f} | {audited:,.0f} | {each.cost:.1%} |\n"
        )
    out.write(f"\n{ROWS:,} rows sealed in {chain['seal_s']:.1f} s, ")
    out.write(f"{chain['rows']:,.0f} verified in {chain['verify_s']:.1f} s\n")
    told = {f"{each.what}_{each.writers}": round(each.cost, 4) for each in written}
    out.write(json.dumps({**told, **{k: round(v, 2) for k, v in chain.items()}}) + "\n")
    return out.getvalue()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        sys.stdout.write(report(*measure(Path(name))))
