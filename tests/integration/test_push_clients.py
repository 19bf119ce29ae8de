"""Who pushes: over TLS, slowly, or gone in the middle of it."""

import json
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from shared.http import body
from shared.settings import Database
from tests.certificate import self_signed
from tests.integration.push_bench import Pushing, plain, two_sites

pytestmark = pytest.mark.database
PATH = "/v1/ingest/cibinong.plain?device=g1"


@pytest.fixture
def user(engine: Engine, apply_site: Callable[..., Any]) -> tuple[str, str]:
    return two_sites(engine, apply_site)["cibinong.plain"]


@pytest.fixture
def pushing(database: Database, engine: Engine, user: tuple[str, str]) -> Iterator[Pushing]:
    assert user  # known before it starts
    made = Pushing(database, engine)
    yield made
    made.stop()


def begun(pushing: Pushing, user: tuple[str, str], sent: bytes, length: int) -> socket.socket:
    """A request of which so much of the body has arrived."""
    named = b64encode(":".join(user).encode()).decode()
    line = socket.create_connection(("127.0.0.1", pushing.port), timeout=30)
    head = f"POST {PATH} HTTP/1.1\r\nHost: lab\r\nAuthorization: Basic {named}\r\n"
    line.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode() + sent)
    return line


def test_a_message_pushed_over_tls_is_stored_and_nothing_else_is_answered_there(
    database: Database, engine: Engine, user: tuple[str, str], tmp_path: Path
) -> None:
    cert, key = self_signed(tmp_path)
    pushing = Pushing(database, engine, tls_cert=cert, tls_key=key)
    trusted = ssl.create_default_context(cafile=str(cert))
    with httpx.Client(base_url=f"https://localhost:{pushing.port}", verify=trusted) as client:
        assert client.post(PATH, content=json.dumps(plain(1)), auth=user).status_code == 204
    with pytest.raises(httpx.TransportError):
        pushing.client.post(PATH, content=b"{}", auth=user)
    assert pushing.bench.counted() == {"stored": 1}
    pushing.stop()


def test_slow_clients_hold_up_nobody_and_are_told_that_they_were_too_slow(
    pushing: Pushing, user: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "PATIENCE_S", 1.0)
    slow = [begun(pushing, user, b'{"time": ', 500) for _ in range(50)]
    assert pushing.post("cibinong.plain?device=g1", plain(1), auth=user).status_code == 204
    answers = {line.recv(65_536).split(b"\r\n")[0] for line in slow}
    for line in slow:
        line.close()
    assert answers == {b"HTTP/1.1 408 Request Timeout"}
    assert pushing.bench.counted() == {"stored": 1}


def test_what_was_not_sent_whole_is_nowhere(pushing: Pushing, user: tuple[str, str]) -> None:
    whole = json.dumps(plain(1)).encode()
    begun(pushing, user, whole[:-1], len(whole)).close()
    begun(pushing, user, whole, len(whole) + 1).close()
    assert pushing.post("cibinong.plain?device=g1", plain(2), auth=user).status_code == 204
    assert pushing.bench.counted() == {"stored": 1}
