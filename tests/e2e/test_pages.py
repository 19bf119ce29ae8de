"""The pages without a browser: whole, guarded, and unshaken by odd requests."""

import csv
import re
from io import StringIO

import httpx
import pytest

from services.api.web import i18n
from services.api.web.series import MOST_SERIES
from tests.e2e import living

pytestmark = pytest.mark.database
COOKIES: dict[str, str] = {}

PAGES = ["/", "/sites/cibinong", "/pilots/1", "/pilots/3", "/devices/1", "/devices/9", "/findings"]
PAGES += [
    "/findings/1",
    "/catalogue",
    "/outcomes",
    "/sign-in",
    "/account",
    "/admin",
    "/admin/audit",
]


@pytest.fixture(autouse=True)
def _signed_in(session: str) -> None:
    COOKIES["livinglab"] = session


async def get(address: str, path: str, **options: object) -> httpx.Response:
    async with httpx.AsyncClient(base_url=address, cookies=COOKIES) as client:
        return await client.get(path, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("language", i18n.LOCALES)
@pytest.mark.parametrize("path", PAGES)
async def test_every_page_answers_in_every_language(address: str, path: str, language: str) -> None:
    answer = await get(address, path, headers={"accept-language": f"{language}, fr;q=0.1"})
    assert answer.status_code == 200
    assert f'<html lang="{language}"' in answer.text
    assert "<script>" not in answer.text
    assert " style=" not in answer.text
    assert "default-src 'self'" in answer.headers["content-security-policy"]


MISSING = ["/pilots/999", "/pilots/99999999999999999999", "/sites/nowhere", "/sites/%00"]
MISSING += ["/sites/%ff", "/devices/999", "/devices/99999999999999999999", "/findings/999"]
MISSING += ["/findings/0", "/findings/99999999999999999999", "/nothing"]


@pytest.mark.parametrize("path", MISSING)
async def test_what_does_not_exist_is_a_page_that_says_so(address: str, path: str) -> None:
    answer = await get(address, path)
    assert answer.status_code == 404
    assert "There is no such page" in answer.text


@pytest.mark.parametrize(
    "query",
    [
        "period=never&step=%00&device=%00",
        "device=<script>alert(1)</script>&lang=<b>",
        "period=all&step=raw",
        "site=%00&pilot=%00&kind=%00&severity=x&state=x&course=x&after=x&before=x",
        "site=cibinong&pilot=-1&after=9.99999999999999999999999999999999999999999&before=1.2",
    ],
)
async def test_an_odd_query_is_answered_and_escaped(address: str, query: str) -> None:
    for path in ("/", "/pilots/1", "/devices/1", "/findings"):
        answer = await get(address, f"{path}?{query}")
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text


async def test_the_origin_stands_at_every_place_that_shows_a_value(address: str) -> None:
    tiles, _, evidence = (await get(address, "/pilots/1")).text.partition('id="evidence"')
    assert tiles.count('data-origin="simulated"') == 1 + tiles.count('<article class="tile"')
    assert all('data-origin="simulated"' in figure for figure in evidence.split("<figure")[1:])
    assert "recorded" in (await get(address, "/pilots/3")).text


async def test_series_too_many_to_tell_apart_are_shown_one_by_one(
    address: str, world: living.World
) -> None:
    meters = sum(name == "water_volume_index" for _, name in world.datastreams)
    assert meters > MOST_SERIES
    table = (await get(address, "/pilots/2")).text.partition("panel-water_volume_index")[2]
    assert table.count("data-series=") == 1
    assert table.count("<option") == meters


async def test_a_language_is_kept_in_a_cookie_only_when_it_was_asked_for(address: str) -> None:
    assert "lang=ko" in (await get(address, "/?lang=ko")).headers["set-cookie"]
    assert "set-cookie" not in (await get(address, "/?lang=xx")).headers
    assert '<html lang="id"' in (await get(address, "/", headers={"cookie": "lang=id"})).text


async def test_a_chart_picks_its_step_by_the_length_of_its_span(address: str) -> None:
    steps = {"24h": "every value", "7d": "hourly mean", "1y": "daily mean", "all": "hourly mean"}
    for period, words in steps.items():  # the world began 35 days ago
        page = (await get(address, f"/pilots/1?device=ciliwung-up&period={period}")).text
        caption = page.partition("<figure")[2].partition("</caption>")[0]
        assert words in caption, period


async def test_a_file_holds_what_its_table_shows(address: str, world: living.World) -> None:
    page = (await get(address, "/pilots/1?device=ciliwung-mid&period=7d&step=1d")).text
    figure = page.partition("<figure")[2].partition("</figure>")[0]
    shown = re.findall(r'<td class="num" data-v="([^"]+)"', figure)
    link = re.findall(r'href="(/v1/datastreams/[^"]+)"', figure)[0].replace("&amp;", "&")
    assert f"/v1/datastreams/{world.datastreams['ciliwung-mid', 'water_level']}/" in link
    rows = list(csv.DictReader(StringIO((await get(address, link)).text)))
    assert [row["mean"] for row in rows] == shown[::-1]


async def test_findings_are_chosen_by_a_form(address: str) -> None:
    async def shown(query: str) -> list[str]:
        return re.findall(r'id="finding-(\d+)"', (await get(address, f"/findings?{query}")).text)

    assert await shown("") == ["2", "1"]
    assert await shown("severity=alarm") == ["1"]
    assert await shown("course=going&site=cibinong&pilot=1&kind=flood") == ["2"]
    assert await shown("course=over") == ["1"]
    assert await shown("course=withdrawn") == await shown("site=calder") == []


async def test_a_device_page_shows_its_messages_page_by_page(address: str) -> None:
    first = (await get(address, "/devices/1")).text
    assert first.count('<details class="frame"') == 20
    older = re.findall(r'href="(/devices/1\?before=[^"#]+)', first)[0]
    page = (await get(address, older)).text
    assert page.count('<details class="frame"') == 10
    assert "fa fb fc fd fe ff" in page  # bytes that are no text
    for words in ("unmapped", "bad_clock", "0016c001f153a14c", "-97", "joined the network", "78.5"):
        assert words in first


async def test_derived_series_are_never_averaged_below_their_own_step(address: str) -> None:
    for period, words in {"24h": "every value", "35d": "every value", "1y": "daily total"}.items():
        page = (await get(address, f"/pilots/2?period={period}")).text
        figure = page.partition("panel-water_consumption")[2].partition("</caption>")[0]
        assert words in figure, period


async def test_a_finding_says_what_and_where(address: str) -> None:
    page = (await get(address, "/findings/1")).text
    [heading] = re.findall(r"<h1>(.*?)</h1>", page)
    what, device, site = heading.split(" · ")
    assert site == "Cibinong"
    assert f"<title>{heading} · " in page
    assert f">{device}</a>" in page
    assert 'href="/findings/1"' not in page
    assert f">{what}</a>" in (await get(address, "/findings")).text


async def test_two_pilots_of_one_service_differ_in_their_titles(address: str) -> None:
    titles = [
        re.findall("<title>(.*?)</title>", (await get(address, f"/pilots/{n}")).text)[0]
        for n in (1, 3)
    ]
    assert " · flood · " in titles[0]
    assert " · river · " in titles[1]


async def test_single_values_and_messages_are_told_to_the_second(address: str) -> None:
    clock = re.compile(r"<time[^>]*>[^<]* \d\d:\d\d:\d\d</time>")
    figure = (await get(address, "/pilots/1?device=ciliwung-up&step=raw")).text.partition("<fig")[2]
    assert clock.search(figure)
    assert not clock.search((await get(address, "/pilots/1?device=ciliwung-up&step=1h")).text)
    assert clock.search((await get(address, "/devices/1")).text.partition('id="messages"')[2])


async def test_the_table_of_a_chart_is_folded_away_but_there(address: str) -> None:
    page = (await get(address, "/pilots/1?lang=id")).text
    figure = page.partition("<figure")[2].partition("</figure>")[0]
    folded = figure.partition('<details class="data">')[2].partition("</details>")[0]
    assert ">Tabel</summary>" in folded
    assert "data-v=" in folded
