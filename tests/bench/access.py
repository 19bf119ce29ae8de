"""`python -m tests.bench.access`: the same routes with access control on and off, in turns."""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Final

import httpx
from fastapi import FastAPI, Request
from sqlalchemy.ext.asyncio import create_async_engine

from services.api.access import guard
from services.api.access.visit import Visit
from services.api.app import create_app
from shared.db import migrate
from shared.db.access.actor import Actor
from shared.db.engine import sync_engine
from shared.db.session import API_READ
from shared.domain.permission import Grant
from shared.embedded import postgres
from shared.settings import Access, Api, Database
from tests import people
from tests.integration import api_world

ROUNDS: Final = int(os.environ.get("LAB_BENCH_ROUNDS", "300"))
PATHS: Final = (
    "/v1/sites",
    "/v1/devices",
    "/v1/latest",
    "/v1/findings",
    "/v1/datastreams/1/readings?limit=400",
    "/v1/datastreams/1/readings?bucket=1d",
)
# off: as before there was access control, each question after a ping; bare: without that, too, so
# that the first question after a restart of the database fails.
WAYS: Final = ("on", "off", "bare")
LetIn = Callable[[Request, str], AbstractAsyncContextManager[Visit]]


def unguarded(name: str) -> LetIn:
    """As if there were no access control: a connection to the tables themselves, for anybody."""
    everybody = Actor(None, "anonymous", "nobody", (Grant("admin"),))

    @asynccontextmanager
    async def let_in(request: Request, permission: str) -> AsyncIterator[Visit]:
        del permission
        state = request.app.state
        async with getattr(state, name).connect() as connection:
            yield Visit(everybody, connection, None, None, None, None, state.keeper, False)
            await connection.commit()  # as the guard does: the driver keeps what it has prepared

    return let_in


async def measure(app: FastAPI, headers: dict[str, str]) -> dict[str, dict[str, float]]:
    """Median milliseconds of each path, on and off, asked in turns."""
    guarded: LetIn = guard._let_in
    ways: dict[str, LetIn] = {"on": guarded, "off": unguarded("off"), "bare": unguarded("bare")}
    took: dict[str, dict[str, list[float]]] = {path: {way: [] for way in WAYS} for path in PATHS}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        for turn in range(ROUNDS + 20):
            for path in PATHS:
                for way in WAYS if turn % 2 else reversed(WAYS):
                    guard._let_in = ways[way]
                    began = time.perf_counter()
                    answer = await client.get(path, headers=headers)
                    if turn >= 20:  # warm by then
                        took[path][way].append((time.perf_counter() - began) * 1000)
                    assert answer.status_code == 200, answer.text
    guard._let_in = guarded
    return {path: {way: median(times) for way, times in of.items()} for path, of in took.items()}


async def run(database: Database, headers: dict[str, str]) -> dict[str, dict[str, float]]:
    app = create_app(database, access=Access(), api=Api(rate_per_address=0, rate_per_principal=0))
    async with app.router.lifespan_context(app):
        engines = [
            create_async_engine(
                app.state.engine.url,
                pool_pre_ping=ping,
                connect_args={"options": replace(API_READ, schema=None).options},
            )
            for ping in (True, False)
        ]
        app.state.off, app.state.bare = (
            engine.execution_options(postgresql_readonly=True) for engine in engines
        )
        try:
            return await measure(app, headers)
        finally:
            for engine in engines:
                await engine.dispose()


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, postgres.running(Path(directory)) as url:
        database = Database(url=url)
        engine = sync_engine(database)
        migrate.upgrade(engine)
        api_world.fill(engine)
        headers = people.bearer(people.add(engine, "operator", ["cibinong", "calder"]))
        engine.dispose()
        found = asyncio.run(run(database, headers))
    sys.stdout.write("\n".join(_lines(found)) + "\n")


def _lines(found: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    yield f"{'route':44}" + "".join(f" {way + ', ms':>12}" for way in WAYS) + "  on / off"
    for path, took in found.items():
        times = "".join(f" {took[way]:12.2f}" for way in WAYS)
        yield f"{path:44}{times} {took['on'] / took['off']:9.2f}"
    for way in WAYS[1:]:
        ratios = {path: round(took["on"] / took[way], 3) for path, took in found.items()}
        yield json.dumps({f"on / {way}": ratios, "median": round(median(ratios.values()), 3)})


if __name__ == "__main__":
    main()
