"""A real server over a seeded world, and a real browser that keeps what it saw."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright, expect

from services.api.main import listening, server
from shared.db import migrate
from shared.db.access import principals, sessions
from shared.db.engine import sync_engine
from shared.embedded.nats import free_port
from shared.settings import Access, Api, Database
from tests import people
from tests.e2e import living

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Software drawing: the map needs WebGL where there is no graphics card.
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader"]
ARGUMENTS += ["--enable-unsafe-swiftshader"]
PATIENCE_S = 60  # a busy machine is slow, not wrong
expect.set_options(timeout=PATIENCE_S * 1000)


@dataclass
class Visit:
    """One open page, every address it asked for, and everything it complained about."""

    page: Page
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def requested(self, request: Request) -> None:
        self.asked.append(request.url)


Open = Callable[..., AbstractAsyncContextManager[Visit]]


@pytest.fixture(scope="session")
def database_of_pages(new_database: Callable[[str], Database]) -> Database:
    return new_database(f"lab_pages_{os.getpid()}")


@pytest.fixture(scope="session")
def world(database_of_pages: Database) -> Iterator[living.World]:
    """Filled once: a test that writes takes care to disturb no other."""
    engine = sync_engine(database_of_pages)
    migrate.upgrade(engine)
    yield living.settle(engine)
    engine.dispose()


@pytest_asyncio.fixture(scope="session")
async def address(database_of_pages: Database, world: living.World) -> AsyncIterator[str]:  # noqa: ARG001
    """Where the real server answers, live stream listening."""
    port = free_port()
    served = server(database_of_pages, access=Access(public=True))
    with listening(Api(port=port)) as listener:
        task = asyncio.create_task(served.serve(sockets=[listener]))
        await asyncio.wait_for(served.hub.listening.wait(), PATIENCE_S)
        yield f"http://127.0.0.1:{port}"
        served.should_exit = True
        await task


@pytest.fixture(scope="session")
def session(world: living.World) -> str:
    """The token of an admin's session, as a browser holds it in its cookie."""
    people.add(world.engine, name="dewi")
    with world.engine.begin() as connection:
        found = principals.find(connection, "dewi")
        return sessions.begin(connection, found.id, datetime.now(UTC), None)


@pytest_asyncio.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        await launched.close()


@pytest.fixture
def visit(browser: Browser, address: str, session: str) -> Open:
    """Open a path in a fresh browser context, signed in; `options` are Playwright's."""

    @asynccontextmanager
    async def open_page(
        path: str, *, signed_in: bool = True, **options: Any
    ) -> AsyncIterator[Visit]:
        chosen = {"locale": "en-GB", "viewport": {"width": 1280, "height": 860}, **options}
        context = await browser.new_context(**chosen)
        if signed_in:
            await context.add_cookies([{"name": "livinglab", "value": session, "url": address}])
        context.set_default_timeout(PATIENCE_S * 1000)
        seen = Visit(await context.new_page())
        seen.page.on("console", seen.heard)
        seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        seen.page.on("request", seen.requested)
        await seen.page.goto(address + path)
        try:
            yield seen
        finally:
            await context.close()

    return open_page


@pytest.fixture(scope="session")
def pictures() -> Path:
    directory = Path(__file__).parent / "out"
    directory.mkdir(exist_ok=True)
    return directory
