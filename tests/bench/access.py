"""`python -m tests.bench.access`: the same routes with access control on and off, in turns."""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, Final

import httpx
from fastapi import FastAPI, Request

from services.api.access import guard
from services.api.access.visit import Visit
from services.api.app import create_app
from shared.db import migrate
from shared.db.access.actor import Actor
from shared.db.engine import async_engine, sync_engine
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
LetIn = Callable[[Request, str], AbstractAsyncContextManager[Visit]]


@asynccontextmanager
async def unguarded(request: Request, permission: str) -> AsyncIterator[Visit]:
    """As if there were no access control: a connection to the tables themselves, for anybody."""
    del permission
    everybody = Actor(None, "anonymous", "nobody", (Grant("admin"),))
    async with request.app.state.bare.connect() as connection:
        yield Visit(everybody, connection, None, None, None, None, request.app.state.keeper, False)


async def measure(app: FastAPI, headers: dict[str, str]) -> dict[str, dict[str, float]]:
    """Median milliseconds of each path, on and off, asked in turns."""
    guarded: LetIn = guard._let_in
    ways: dict[str, LetIn] = {"on": guarded, "off": unguarded}
    took: dict[str, dict[str, list[float]]] = {path: {"on": [], "off": []} for path in PATHS}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        for turn in range(ROUNDS + 20):
            for path in PATHS:
                for way in ("on", "off") if turn % 2 else ("off", "on"):
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
        bare = async_engine(database, replace(API_READ, schema=None))
        app.state.bare = bare.execution_options(postgresql_readonly=True)
        try:
            return await measure(app, headers)
        finally:
            await bare.dispose()


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, postgres.running(Path(directory)) as url:
        database = Database(url=url)
        engine = sync_engine(database)
        migrate.upgrade(engine)
        api_world.fill(engine)
        headers = people.bearer(people.add(engine, "operator", ["cibinong", "calder"]))
        engine.dispose()
        found = asyncio.run(run(database, headers))
    print(f"{'route':44} {'off, ms':>8} {'on, ms':>8} {'ratio':>6}")
    for path, took in found.items():
        print(f"{path:44} {took['off']:8.2f} {took['on']:8.2f} {took['on'] / took['off']:6.2f}")
    ratios: dict[str, Any] = {p: round(t["on"] / t["off"], 3) for p, t in found.items()}
    print(json.dumps({"ratios": ratios, "median": round(median(ratios.values()), 3)}))


if __name__ == "__main__":
    main()
