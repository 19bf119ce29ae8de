"""Against a real server and bare sockets: what is too large, too slow or no HTTP at all."""

import asyncio
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import Engine

from shared.http import body, connection, headers
from shared.settings import Database
from tests import certificate, people
from tests.compose import ROOT
from tests.integration import api_world
from tests.integration.api_sockets import PATIENCE_S, Served, serving

pytestmark = pytest.mark.database
HSTS = headers.UNDER_TLS["Strict-Transport-Security"]
ACTIONS = b"POST /v1/findings/1/actions HTTP/1.1\r\nHost: localhost\r\n"
JSON = b"Content-Type: application/json\r\n"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is ten seconds long in earnest."""
    monkeypatch.setattr(body, "PATIENCE_S", 1.0)
    monkeypatch.setattr(connection, "HEADERS_S", 1.0)
    monkeypatch.setattr("shared.http.serving.HANDSHAKE_S", 1.0)


@pytest_asyncio.fixture
async def served(database: Database, engine: Engine) -> AsyncIterator[Served]:
    api_world.fill(engine)
    async with serving(database, streams=4, streams_each=3) as served:
        yield served


async def answers(served: Served) -> None:
    """The server still serves everybody else."""
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        assert (await client.get(f"{served.url}/v1/sites")).status_code == 200


async def test_a_body_declared_too_large_is_refused_before_it_is_sent(served: Served) -> None:
    async with served.connected() as bare:
        await bare.say(ACTIONS, JSON, b"Content-Length: 99999999999\r\n\r\n")
        told = await bare.problem()
    assert told["status"] == 413
    assert told["instance"] == "/v1/findings/1/actions"
    await answers(served)


async def test_a_body_in_chunks_is_counted_while_it_comes(served: Served) -> None:
    async with served.connected() as bare:
        await bare.say(ACTIONS, JSON, b"Transfer-Encoding: chunked\r\n\r\n")
        await bare.say(*[b"8000\r\n" + b"x" * 0x8000 + b"\r\n"] * 8, b"1\r\nx\r\n")
        assert (await bare.problem())["status"] == 413
    await answers(served)


@pytest.mark.parametrize("length", [b"Content-Length: 50", b"Transfer-Encoding: chunked"])
async def test_a_body_that_trickles_is_given_up(served: Served, length: bytes) -> None:
    async with served.connected() as bare:
        await bare.say(ACTIONS, JSON, length, b"\r\n\r\n")

        async def trickle() -> None:
            while True:
                await bare.say(b"x" if b"50" in length else b"1\r\nx\r\n")
                await asyncio.sleep(0.1)

        trickling = asyncio.create_task(trickle())
        told = asyncio.create_task(bare.problem())  # read at once: what we still send resets it
        await answers(served)
        assert (await told)["status"] == 408
        trickling.cancel()
        with pytest.raises((asyncio.CancelledError, ConnectionError)):
            await trickling
    await answers(served)


async def test_who_leaves_in_the_middle_of_a_body_leaves_nothing_behind(served: Served) -> None:
    for _ in range(20):
        async with served.connected() as bare:
            await bare.say(ACTIONS, b"Content-Length: 50\r\n\r\n", b"{")
    await answers(served)
    await ended(served)


async def ended(served: Served) -> None:
    """Wait until the server has no request under way and no stream counted."""
    app = served.server.config.app
    async with asyncio.timeout(PATIENCE_S):
        while served.server.server_state.tasks or len(app.state.limits.streams):  # type: ignore[union-attr]
            await asyncio.sleep(0.05)


async def test_headers_without_end_are_refused(served: Served) -> None:
    async with served.connected() as bare:
        await bare.say(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Much: ", b"x" * 100_000)
        assert (await bare.problem())["status"] == 431
    await answers(served)


async def test_a_request_that_trickles_is_cut_off(served: Served) -> None:
    for begun in (b"", b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: "):
        async with served.connected() as bare:
            await bare.say(begun)
            await answers(served)
            assert await bare.rest() == b""


async def test_a_second_request_that_trickles_is_cut_off_as_well(served: Served) -> None:
    async with served.connected() as bare:
        await bare.say(b"GET /v1/catalogue HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await bare.reader.readline()).split()[1] == b"200"
        await bare.say(b"GET /v1/sites HT")
        assert b" 200 OK" not in await bare.rest()


async def test_many_slow_ones_keep_nobody_else_out(served: Served) -> None:
    slow = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(200)]
    try:
        for _, writer in slow:
            writer.write(b"GET / HTTP/1.1\r\nHo")
        await answers(served)
        ends = await asyncio.wait_for(asyncio.gather(*(r.read(-1) for r, _ in slow)), PATIENCE_S)
        assert set(ends) == {b""}
    finally:
        for _, writer in slow:
            writer.transport.abort()


async def said(reader: asyncio.StreamReader) -> bytes:
    """What a connection says before it ends, in order or not."""
    try:
        return await reader.read(-1)
    except ConnectionError:
        return b""


async def test_one_address_has_only_so_many_connections(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MOST", 5)
    opened = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(6)]
    try:
        assert await asyncio.wait_for(said(opened[-1][0]), PATIENCE_S) == b""
    finally:
        for _, writer in opened:
            writer.transport.abort()
    async with asyncio.timeout(PATIENCE_S):
        while served.server.server_state.connections:
            await asyncio.sleep(0.05)
    await answers(served)


NO_HTTP = (
    b"\x16\x03\x01\x02\x00\x01",  # TLS where there is none
    b"GET / HTTP/1.1\r\n\r\n",  # no Host
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
    ACTIONS + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ACTIONS + b"Content-Length: -1\r\n\r\n",
    ACTIONS + b"Transfer-Encoding: gzip\r\n\r\n",
    ACTIONS + b"Transfer-Encoding: chunked\r\n\r\nrubbish\r\n",
    b"\r\nrubbish\r\n\r\n",
)


async def test_what_is_no_http_is_a_problem_too(served: Served) -> None:
    for said in NO_HTTP:
        async with served.connected() as bare:
            await bare.say(said)
            assert (await bare.problem())["status"] in (400, 501), said
    await answers(served)


async def test_two_requests_cannot_hide_in_one(served: Served) -> None:
    async with served.connected() as bare:
        hidden = b"0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
        length = b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n" % len(hidden)
        await bare.say(ACTIONS, length, hidden)
        assert (await bare.problem())["status"] == 400


async def test_live_streams_are_bounded_and_given_back(served: Served, engine: Engine) -> None:
    key = people.bearer(people.add(engine))
    async with httpx.AsyncClient(timeout=PATIENCE_S, base_url=served.url, headers=key) as client:
        async with (
            client.stream("GET", "/v1/live") as one,
            client.stream("GET", "/v1/live") as two,
            client.stream("GET", "/v1/live") as three,
        ):
            for each in (one, two, three):
                assert each.status_code == 200
                assert each.headers["x-frame-options"] == "DENY"
            refused = await client.get("/v1/live")
            assert refused.status_code == 429
            assert refused.headers["retry-after"] == "30"
        await ended(served)
        for _ in range(5):
            assert (await client.get("/v1/live?site=nowhere")).status_code == 404
            assert (await client.get("/v1/live?max_events=0")).status_code == 422
        await ended(served)
        async with client.stream("GET", "/v1/live") as again:
            assert again.status_code == 200
    for _ in range(20):  # gone before the first byte of the answer
        async with served.connected() as bare:
            shown = f"Authorization: {key['Authorization']}\r\n\r\n".encode()
            await bare.say(b"GET /v1/live HTTP/1.1\r\nHost: localhost\r\n", shown)
    await ended(served)


async def test_tls_is_served_with_hsts_and_nothing_older_than_1_2(
    database: Database, engine: Engine, tmp_path: Path
) -> None:
    api_world.fill(engine)
    cert, key = certificate.self_signed(tmp_path)
    async with serving(database, tls_cert=cert, tls_key=key) as served:
        trusting = ssl.create_default_context(cafile=str(cert))
        url = served.url.replace("http:", "https:")
        async with httpx.AsyncClient(verify=trusting, base_url=url, timeout=PATIENCE_S) as client:
            for path in ("/v1/sites", "/", "/v1/nothing"):
                answer = await client.get(path)
                assert answer.headers["strict-transport-security"] == HSTS
            assert answer.status_code == 404
            said = (await client.get("/docs?lang=id")).headers["set-cookie"]
            assert "secure" in said.lower()
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(cert)
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", served.port, ssl=old)
        for begun in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"", b"\x16\x03"):
            async with served.connected() as bare:  # no TLS, or none that ever comes to its end
                await bare.say(begun)
                assert b"HTTP" not in await bare.rest()
        assert await asyncio.to_thread(healthy, served, LAB_API_TLS_CERT=str(cert)) == ""


def healthy(served: Served, **variables: str) -> str:
    """What the image's health check complains of."""
    known = {"PATH": os.environ["PATH"], "LAB_API_PORT": str(served.port), **variables}
    check = [sys.executable, "-W", "error", "deploy/healthy.py"]
    return subprocess.run(
        check, env=known, cwd=ROOT, capture_output=True, text=True, check=False
    ).stderr


async def test_the_health_check_knows_where_the_api_listens(served: Served) -> None:
    assert await asyncio.to_thread(healthy, served) == ""
    assert await asyncio.to_thread(healthy, served, LAB_API_HOST="0.0.0.0") == ""
    assert "https://[::1]" in await asyncio.to_thread(
        healthy, served, LAB_API_HOST="::", LAB_API_TLS_CERT="cert.pem"
    )
