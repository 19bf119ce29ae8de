"""The pages without a browser: whole, guarded, and unshaken by odd requests."""

import httpx
import pytest

from services.api.web import i18n
from services.api.web.series import MOST_SERIES
from tests.e2e import living

pytestmark = pytest.mark.database


async def get(address: str, path: str, **options: object) -> httpx.Response:
    async with httpx.AsyncClient(base_url=address) as client:
        return await client.get(path, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("language", i18n.LOCALES)
@pytest.mark.parametrize("path", ["/", "/sites/cibinong", "/pilots/1", "/pilots/3", "/catalogue"])
async def test_every_page_answers_in_every_language(address: str, path: str, language: str) -> None:
    answer = await get(address, path, headers={"accept-language": f"{language}, fr;q=0.1"})
    assert answer.status_code == 200
    assert f'<html lang="{language}"' in answer.text
    assert "<script>" not in answer.text
    assert " style=" not in answer.text
    assert "default-src 'self'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    ["/pilots/999", "/pilots/99999999999999999999", "/sites/nowhere", "/sites/%00", "/sites/%ff"],
)
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
        "site=%00",
    ],
)
async def test_an_odd_query_is_answered_and_escaped(address: str, query: str) -> None:
    for path in ("/", "/pilots/1"):
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
