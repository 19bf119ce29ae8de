"""An operator finds from the pages alone why readings are missing, for five planted causes."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect
from sqlalchemy import Engine

from services.api.main import listening, server
from services.ingest import task_runner
from shared.db import migrate, sites
from shared.db.access import principals, sessions
from shared.db.engine import sync_engine
from shared.embedded.nats import free_port
from shared.settings import Access, Api, Database
from shared.site_file import parse
from tests import people
from tests.e2e.conftest import PATIENCE_S
from tests.integration.test_ingest_path import APPLICATION, chirpstack_up
from tests.integration.written import Ingest, writing

pytestmark = [pytest.mark.browser, pytest.mark.database]
STRANGER: Final = "24e124136b509999"
EUIS: Final = {"gauge-text": "24e124136b500002", "gauge-radio": "24e124136b500005"}
SIZES: Final = ((390, 844), (1366, 900))
NOW: Final = datetime.now(UTC).replace(microsecond=0)


def site(*more: str) -> dict[str, Any]:
    """Gauges by radio and by the plain format; `more`: EUIs that are registered later."""
    gauge = {"pilot": "flood", "profile": "gauge", "source": "plain", "origin": "measured"}
    radio = {**gauge, "profile": "radio", "source": "radio"}
    level = {"property": "water_level", "unit": "cm"}
    return {
        "site": {
            **{"key": "depok", "name": "Depok", "zone": "Asia/Jakarta", "stage": "experiment"},
            **{"lat": -6.4, "lon": 106.82},
        },
        "sources": [
            {"key": "plain", "adapter": "lab", "filters": ["livinglab/depok/+/up"]},
            {
                **{"key": "radio", "adapter": "chirpstack"},
                "filters": [f"application/{APPLICATION}/device/+/event/+"],
            },
        ],
        "profiles": [
            {"key": "gauge", "interval_s": 900, "fields": {"level": level}},
            {"key": "radio", "interval_s": 900, "fields": {"object.level": level}},
        ],
        "pilots": [
            {
                **{"key": "flood", "service": "SEC-02", "kind": "flood", "phase": 1},
                **{"origin": "measured", "params": {}},
            }
        ],
        "devices": [
            *({"key": key, **gauge} for key in ("gauge-twice", "gauge-clock", "gauge-well")),
            *({"key": key, "id": f"eui:{eui}", **radio} for key, eui in EUIS.items()),
            *({"key": f"gauge-{eui[-4:]}", "id": f"eui:{eui}", **radio} for eui in more),
        ],
    }


def plant(ingest: Ingest) -> None:
    """One cause for each of five devices, beside one that does well."""
    for i in range(4):
        ingest.send("livinglab/depok/gauge-well/up", plain(i), ago(i))
    for i in range(3):
        ingest.send(up_of(STRANGER), frame(STRANGER, i, 20 + i), ago(i))
    ingest.send(up_of(EUIS["gauge-text"]), b'{"deviceInfo": {"devEui": "24e1', ago(1))
    ingest.send("livinglab/depok/gauge-twice/up", plain(1, level=140), ago(1))
    ingest.send("livinglab/depok/gauge-twice/up", plain(1, level=165), ago(0))
    broken = {**plain(0), "time": "2000-01-01T00:03:12Z"}
    ingest.send("livinglab/depok/gauge-clock/up", broken, ago(0))
    for i, counter in ((3, 10), (2, 11), (1, 15)):
        ingest.send(up_of(EUIS["gauge-radio"]), frame(EUIS["gauge-radio"], i, counter), ago(i))


def ago(i: int) -> datetime:
    return NOW - timedelta(minutes=15 * i + 2)


def plain(i: int, level: int = 120) -> dict[str, Any]:
    return {"time": ago(i).isoformat(), "values": {"level": level}}


def up_of(eui: str) -> str:
    return f"application/{APPLICATION}/device/{eui}/event/up"


def frame(eui: str, i: int, counter: int) -> dict[str, Any]:
    return chirpstack_up(
        deduplicationId=f"{eui}-{counter}",
        time=ago(i).isoformat(),
        fCnt=counter,
        deviceInfo={"devEui": eui, "applicationId": APPLICATION},
        object={"level": 130},
    )


@dataclass(frozen=True)
class Planted:
    """Where the pages answer, as whom, and what is behind them."""

    address: str
    session: str
    database: Database
    engine: Engine


@pytest.fixture(scope="module")
def filled(new_database: Callable[[str], Database]) -> Iterator[tuple[Database, Engine, str]]:
    database = new_database(f"lab_missing_{os.getpid()}")
    engine = sync_engine(database)
    migrate.upgrade(engine)
    with engine.begin() as connection:
        sites.apply(connection, parse(site()))
    with writing(database, engine) as ingest:
        plant(ingest)
    people.add(engine, "operator", ["depok"], name="sari")
    with engine.begin() as connection:
        found = principals.find(connection, "sari")
        session = sessions.begin(connection, found.id, datetime.now(UTC), None)
    yield database, engine, session
    engine.dispose()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def planted(filled: tuple[Database, Engine, str]) -> AsyncIterator[Planted]:
    database, engine, session = filled
    port = free_port()
    served = server(database, access=Access())
    with listening(Api(port=port)) as listener:
        task = asyncio.create_task(served.serve(sockets=[listener]))
        await asyncio.wait_for(served.hub.listening.wait(), PATIENCE_S)
        yield Planted(f"http://127.0.0.1:{port}", session, database, engine)
        served.should_exit = True
        await task


@asynccontextmanager
async def operating(
    browser: Browser, planted: Planted, size: tuple[int, int] = SIZES[1], language: str = "en-GB"
) -> AsyncIterator[Page]:
    """The operator's browser, at the map."""
    width, height = size
    context = await browser.new_context(
        viewport={"width": width, "height": height}, locale=language
    )
    cookie = {"name": "livinglab", "value": planted.session, "url": planted.address}
    await context.add_cookies([cookie])  # type: ignore[list-item]
    context.set_default_timeout(PATIENCE_S * 1000)
    page = await context.new_page()
    await page.goto(planted.address)
    yield page
    await context.close()


async def asked_about(page: Page, name: str) -> Locator:
    """Two clicks and a name; what the page says of it."""
    await page.get_by_role("link", name="Data flow").click()
    await page.get_by_label("Which device’s readings are missing?").fill(name)
    await page.get_by_role("button", name="Find out why").click()
    return page.locator(".trace")


@pytest.mark.parametrize(
    ("name", "reason", "said"),
    [
        (
            "24-E1-24-13-6B-50-99-99",
            "unknown_device",
            ["no such device is registered", "3 messages refused", "Add the device to its site"],
        ),
        (
            "gauge-text",
            "bad_json",
            ["they are no JSON", "1 message refused", "the codec at the network server"],
        ),
        (
            "gauge-twice",
            "conflict",
            ["the first was kept", "kept 1.4 m", "came later 1.65 m", "Find out which one"],
        ),
        (
            "gauge-clock",
            "bad_clock",
            ["Its clock is wrong", "2000-01-01T00:03:12", "clock: {use: arrival}"],
        ),
        (
            "gauge-radio",
            "frame_gap",
            ["never reached us", "3 frames missing", "The cause is not known here"],
        ),
    ],
)
async def test_each_cause_is_found_with_two_clicks_and_the_name(
    browser: Browser, planted: Planted, name: str, reason: str, said: list[str]
) -> None:
    async with operating(browser, planted) as page:
        trace = await asked_about(page, name)
        card = trace.locator(f".cause[data-reason={reason}]")
        await expect(card).to_have_count(1)
        for each in said:
            await expect(card).to_contain_text(each)
        await expect(card).to_contain_text("ago")  # how old it is
        await expect(trace.locator(".cause").first).to_have_attribute("data-reason", reason)


async def test_of_a_device_that_does_well_nothing_is_told_and_of_no_device_that_there_is_none(
    browser: Browser, planted: Planted
) -> None:
    async with operating(browser, planted) as page:
        well = await asked_about(page, "gauge-well")
        await expect(well).to_contain_text("Nothing is missing that is known here")
        nobody = await asked_about(page, "70b3d57ed0000001")
        await expect(nobody).to_contain_text("Nothing that names it was refused")


async def test_the_bytes_are_a_click_away_and_the_device_page_says_the_same(
    browser: Browser, planted: Planted
) -> None:
    async with operating(browser, planted) as page:
        trace = await asked_about(page, "gauge-text")
        await trace.locator(".told-list a").first.click()
        await expect(page.locator("pre.message")).to_have_text('{"deviceInfo": {"devEui": "24e1')
        await page.go_back()
        await page.locator(".trace h2 a").click()
        missing = page.locator("section", has=page.locator("#missing"))
        await expect(missing.locator(".cause[data-reason=bad_json]")).to_contain_text("no JSON")


async def test_refused_messages_are_taken_in_once_their_device_is_registered(
    browser: Browser, planted: Planted
) -> None:
    async with operating(browser, planted) as page:
        trace = await asked_about(page, STRANGER)
        with planted.engine.begin() as connection:
            sites.apply(connection, parse(site(STRANGER)))
        await trace.get_by_role("button", name="Take the refused messages in").click()
        row = page.locator("[data-task]").first
        await expect(row).to_contain_text("waiting")
        await asyncio.to_thread(do, planted.database, await row.get_attribute("data-task"))
        await page.reload()
        await expect(row).to_contain_text("done")
        await expect(row).to_contain_text("stored 3")
        trace = page.locator(".trace")
        await expect(trace.locator("h2")).to_contain_text("gauge-9999")
        stored = trace.locator("dl div", has_text="Messages stored")
        await expect(stored.locator("dd")).to_have_text("3")
        await expect(trace.locator(".cause")).to_have_count(0)


def do(database: Database, task: str | None) -> None:
    """As a running ingest would."""
    desk = task_runner.at_desk(database, threading.Event())
    assert task_runner.perform(desk, int(task or 0))
    desk.close()


OVERFLOW: Final = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.long
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("name", "path", "language"),
    [
        ("flow", "/flow", "en-GB"),
        ("trace-clock", "/flow?device=gauge-clock", "en-GB"),
        ("trace-twice", "/flow?device=gauge-twice", "ko-KR"),
        ("trace-radio", "/flow?device=gauge-radio", "id-ID"),
        ("rejects", "/rejects", "en-GB"),
    ],
)
async def test_pictures_of_what_an_operator_sees(
    browser: Browser,
    planted: Planted,
    pictures: Path,
    size: tuple[int, int],
    name: str,
    path: str,
    language: str,
) -> None:
    async with operating(browser, planted, size, language) as page:
        answer = await page.goto(planted.address + path)
        assert answer is not None
        assert answer.status == 200
        assert await page.evaluate(OVERFLOW) == 0
        await page.screenshot(path=pictures / f"missing-{name}-{size[0]}.png", full_page=True)
