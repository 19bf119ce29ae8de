"""Where signing in leads: back to where one wanted to go, and never elsewhere."""

import re

import httpx
import pytest

from services.api.web.sign_in_page import within
from tests.people import PASSWORD

pytestmark = pytest.mark.database
Client = httpx.AsyncClient


@pytest.fixture
def client(door: Client) -> Client:
    return door


ELSEWHERE = ["https://elsewhere.example", "//elsewhere.example", "/\\elsewhere.example", "\\\\x"]
ELSEWHERE += ["http:elsewhere.example", "javascript:alert(1)", "/%0d%0aSet-Cookie:x", "/\nx"]
ELSEWHERE += ["/\t/elsewhere.example", "https:///elsewhere.example", "/sign-out", " /x", "", "x"]
ELSEWHERE += ["///elsewhere.example", "/\u2028x", "//[", "/x\x00"]


@pytest.mark.parametrize("address", ELSEWHERE)
async def test_signing_in_leads_nowhere_else(client: Client, address: str) -> None:
    answer = await client.post(
        "/sign-in", data={"name": "dewi", "password": PASSWORD, "next": address}
    )
    where = answer.headers["location"]
    assert where == "/" or where == address == "/%0d%0aSet-Cookie:x"
    assert "x" not in answer.headers.get_list("set-cookie")[0].partition("=")[0]
    shown = await client.get("/sign-in", params={"next": address})
    [kept] = re.findall(r'name="next" value="([^"]*)"', shown.text)
    assert kept == where


def test_an_address_of_ours_is_kept() -> None:
    for address in ("/", "/pilots/1?period=7d&device=a#b", "/findings?site=cibinong"):
        assert within(address) == address


async def test_a_page_that_needs_somebody_leads_back_to_itself(client: Client) -> None:
    answer = await client.get("/findings?site=cibinong&state=open")
    assert answer.status_code == 303
    page = await client.get(answer.headers["location"])
    assert 'value="/findings?site=cibinong&amp;state=open"' in page.text


async def test_a_part_of_a_page_leads_its_whole_page_to_sign_in(client: Client) -> None:
    for current, kept in (
        ("http://127.0.0.1:8000/findings?x=1", "%2Ffindings%3Fx%3D1"),
        ("[", "%2F"),
    ):
        headers = {"hx-request": "true", "hx-current-url": current}
        answer = await client.get("/findings?x=1", headers=headers)
        assert (answer.status_code, answer.text) == (204, "")
        assert answer.headers["hx-redirect"] == f"/sign-in?next={kept}"


async def test_a_page_of_another_site_cannot_sign_anybody_in(client: Client) -> None:
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"origin": "https://elsewhere.example"},
        {"origin": "null"},
    ):
        form = {"name": "dewi", "password": PASSWORD}
        answer = await client.post("/sign-in", data=form, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
