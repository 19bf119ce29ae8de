"""The pages in a real browser: live, true to the database, in three languages, self-contained."""

import re
import time
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect
from sqlalchemy import text

from tests.e2e import living
from tests.e2e.conftest import PATIENCE_S, Open

pytestmark = [pytest.mark.browser, pytest.mark.database]
PATHS = [
    *("/", "/pilots/1", "/devices/1", "/findings", "/admin"),
    *(
        pytest.param(path, marks=pytest.mark.long)
        for path in (
            *("/?site=cibinong", "/pilots/2", "/sites/cibinong", "/catalogue", "/docs"),
            *("/findings/1", "/outcomes", "/sign-in", "/account", "/admin/audit"),
        )
    ),
]
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SPOKEN = {
    "en": ("Flood watch", "simulated", "silent", "9 hours ago"),
    "id": ("Pantauan banjir", "simulasi", "diam", "9 jam yang lalu"),
    "ko": ("홍수 감시", "모의", "무응답", "9시간 전"),
}


def tile(page: Page, key: str) -> Locator:
    return page.locator(".tile", has=page.get_by_text(key, exact=True))


async def ready(page: Page) -> None:
    """Wait for what the page's own scripts say: charts drawn, map drawn, stream open."""
    for figure in await page.locator("figure.panel").all():
        await expect(figure).to_have_attribute("data-ready", "chart")
    if await page.locator("#map").count():
        await expect(page.locator("#map")).to_have_attribute("data-ready", "map")
    if await page.locator("#reference").count():
        await expect(page.locator("#reference")).to_have_attribute("data-ready", "")
    if await page.locator("#pulse").count():
        await expect(page.locator("#pulse")).to_have_attribute("data-state", "on")


async def fits(page: Page) -> None:
    """Nothing scrolls sideways, once the charts have followed their frame."""
    patience = time.monotonic() + PATIENCE_S
    while beyond := await page.evaluate(OVERFLOW):
        assert time.monotonic() < patience, f"{beyond} pixels beyond the frame"
        await page.wait_for_timeout(50)


async def test_a_value_changes_without_a_reload(visit: Open, world: living.World) -> None:
    stream = world.datastreams["weir", "water_level"]
    async with visit("/pilots/1?device=weir&step=raw") as seen:
        await ready(seen.page)
        await seen.page.evaluate("window.sameDocument = true")
        shown = seen.page.locator(f'[data-datastream="{stream}"] data')
        await expect(shown).not_to_have_text("4.321")
        with world.engine.begin() as connection:
            living.put(connection, stream, [time.time()], [4.321])
        await expect(shown).to_have_text("4.321")
        newest = seen.page.locator(".series tbody tr").first
        await expect(newest).to_contain_text("4.321")
        assert await seen.page.evaluate("window.sameDocument") is True


async def test_the_table_says_what_the_database_says(visit: Open, world: living.World) -> None:
    stream = world.datastreams["ciliwung-up", "water_level"]
    async with visit("/pilots/1?device=ciliwung-up&step=raw") as seen:
        rows = seen.page.locator(".series tbody tr")
        shown = await rows.evaluate_all(
            "rows => rows.map(r => [r.cells[0].firstChild.dateTime, Number(r.cells[1].dataset.v)])"
        )
        with world.engine.connect() as connection:
            stored = connection.execute(
                text("""
                    SELECT time, value FROM reading WHERE datastream_id = :stream
                    AND time > CAST(:now AS timestamptz) - interval '24 hours' ORDER BY time DESC
                """),
                {"stream": stream, "now": world.now},
            ).all()
        assert [tuple(row) for row in shown] == [(t.isoformat(), v) for t, v in stored]
        first = seen.page.locator(".series tbody tr td").first
        await expect(first).to_have_text(f"{stored[0].value:.3f}")


@pytest.mark.parametrize("language", SPOKEN)
async def test_the_page_speaks_the_readers_language(visit: Open, language: str) -> None:
    async with visit("/pilots/1", locale=language) as seen:
        await expect(seen.page.locator("html")).to_have_attribute("lang", language)
        for words in SPOKEN[language]:
            await expect(seen.page.get_by_text(words).first).to_be_visible()
        await ready(seen.page)  # what the scripts write later is in the same language
        await expect(tile(seen.page, "kali-baru")).to_contain_text(SPOKEN[language][3])


async def test_a_language_once_chosen_is_kept(visit: Open) -> None:
    async with visit("/pilots/1") as seen:
        await seen.page.get_by_role("link", name="한국어").click()
        await expect(seen.page.locator("html")).to_have_attribute("lang", "ko")
        await seen.page.get_by_role("link", name="메뉴판").click()
        await expect(seen.page.locator("html")).to_have_attribute("lang", "ko")
        await expect(seen.page.get_by_text("스마트 검침 서비스")).to_be_visible()


async def test_a_silent_device_is_greyed_with_its_age(visit: Open) -> None:
    async with visit("/pilots/1") as seen:
        await ready(seen.page)
        silent, live = tile(seen.page, "kali-baru"), tile(seen.page, "ciliwung-up")
        await expect(silent).to_have_attribute("data-status", "silent")
        await expect(silent).to_contain_text("9 hours ago")
        await expect(live).to_have_attribute("data-status", "live")
        colour = "tile => getComputedStyle(tile.querySelector('data')).color"
        assert await silent.evaluate(colour) != await live.evaluate(colour)
        await expect(tile(seen.page, "old-staff")).to_contain_text("interval unknown")
        await expect(tile(seen.page, "bridge")).to_contain_text("nothing received yet")


@pytest.mark.parametrize("path", PATHS)
async def test_nothing_is_asked_of_another_host_and_nothing_goes_wrong(
    visit: Open, address: str, path: str
) -> None:
    """At the size of a desktop, then of a phone; neither ever scrolls sideways."""
    async with visit(path, viewport={"width": 1366, "height": 900}) as seen:
        await ready(seen.page)
        await fits(seen.page)
        await seen.page.set_viewport_size({"width": 390, "height": 844})
        await fits(seen.page)
        foreign = [url for url in seen.asked if not url.startswith((address, "data:", "blob:"))]
        assert foreign == []
        assert seen.complaints == []


@pytest.mark.parametrize("scripted", [True, False])
async def test_a_finding_is_acknowledged_and_reopened(
    visit: Open, world: living.World, scripted: bool
) -> None:
    async with visit("/findings?site=cibinong", java_script_enabled=scripted) as seen:
        card = seen.page.locator("#finding-1")
        for button, state in (("Acknowledge", "acknowledged"), ("Reopen", "not looked at")):
            await card.get_by_text("Act on it").click()
            await card.get_by_label("Note").fill(f"{button}, scripted: {scripted}")
            await card.get_by_role("button", name=button).click()
            await expect(card.locator(".handling")).to_have_text(state)
            await expect(card.locator(".log li").last).to_contain_text(
                f"{button}, scripted: {scripted}"
            )
            await expect(card.locator(".log li").last).to_contain_text("dewi")  # who is signed in
        assert "site=cibinong" in seen.page.url
        assert seen.complaints == []
    with world.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM finding_action")) in (2, 4)


async def test_without_javascript_every_number_is_there(visit: Open) -> None:
    async with visit("/pilots/1?period=7d", java_script_enabled=False) as seen:
        await expect(tile(seen.page, "ciliwung-mid")).to_contain_text(re.compile(r"\d\.\d{3}"))
        assert await seen.page.locator(".series tbody tr").count() > 150
        await seen.page.get_by_role("link", name="24 hours").click()
        await expect(seen.page.locator("[aria-current=true]").first).to_be_visible()
        assert "period=24h" in seen.page.url
    async with visit("/", java_script_enabled=False) as seen:
        counted = re.compile("[23] of 6 devices reporting, 1 with unknown interval")  # weir ages
        await expect(seen.page.get_by_text(counted)).to_be_visible()


async def test_a_part_of_the_page_changes_by_a_link(visit: Open) -> None:
    async with visit("/pilots/1") as seen:
        await ready(seen.page)
        await seen.page.get_by_role("link", name="7 days").click()
        await expect(seen.page.locator("caption").first).to_contain_text("hourly mean")
        await seen.page.get_by_label("Device").select_option("ciliwung-up")
        await expect(seen.page.locator("th[data-series]")).to_have_text(["ciliwung-up"])
        await expect(seen.page.get_by_text("siaga3")).to_be_visible()
        await expect(seen.page).to_have_url(re.compile("period=7d.*device=ciliwung-up"))
        assert sum("/static/chart.js" in url for url in seen.asked) == 1  # no reload


async def test_a_refresh_that_fails_leaves_the_page_as_it_was(visit: Open) -> None:
    async with visit("/pilots/1") as seen:
        await ready(seen.page)
        await seen.page.route(
            "**/pilots/1", lambda route: route.fulfill(status=503, body="<p id='gone'>gone</p>")
        )
        for part in ("tiles", "evidence"):
            async with seen.page.expect_response(lambda response: response.status == 503):
                await seen.page.locator(f"#{part}").dispatch_event("stale")
        await seen.page.wait_for_timeout(300)
        await expect(tile(seen.page, "ciliwung-up")).to_be_visible()
        await expect(seen.page.locator("figure.panel").first).to_be_visible()


PHONE = {"viewport": {"width": 390, "height": 844}}
DESKTOP = {"viewport": {"width": 1366, "height": 900}}


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "path", "options"),
    [
        ("map-desktop", "/?site=cibinong", DESKTOP),
        ("map-phone-dark", "/", {**PHONE, "color_scheme": "dark"}),
        ("pilot-desktop", "/pilots/1?period=7d", DESKTOP),
        ("pilot-phone", "/pilots/2?period=7d&lang=id", PHONE),
        ("device-desktop", "/devices/1", DESKTOP),
        ("device-phone-dark", "/devices/1?lang=ko", {**PHONE, "color_scheme": "dark"}),
        ("findings-phone", "/findings?lang=id", PHONE),
        ("site-desktop", "/sites/cibinong", DESKTOP),
        ("catalogue-ko", "/catalogue?lang=ko", DESKTOP),
    ],
)
async def test_pictures_of_phone_and_desktop(
    visit: Open, pictures: Path, name: str, path: str, options: dict[str, object]
) -> None:
    async with visit(path, **options) as seen:
        await ready(seen.page)
        await fits(seen.page)
        await seen.page.screenshot(path=pictures / f"{name}.png", full_page=True)
