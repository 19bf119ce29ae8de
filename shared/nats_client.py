"""A connection to NATS for a question or two, by nats-py: one that cannot stand fails at once."""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from urllib.parse import urlsplit

from nats.aio.client import Client
from nats.errors import Error

from shared.settings.address import plain

FAILURES: Final = (Error, OSError, TimeoutError)  # of connecting and of asking


@asynccontextmanager
async def connected(url: str, tls: ssl.SSLContext, **options: Any) -> AsyncIterator[Client]:
    """Raises one of FAILURES. The user is the URL's unless options name another."""
    parts, client = urlsplit(url), Client()
    account = {"user": plain(parts.username), "password": plain(parts.password)}
    try:
        await client.connect(
            f"{parts.scheme}://{parts.hostname}:{parts.port or 4222}",
            tls=tls if parts.scheme == "tls" else None,
            allow_reconnect=False,
            connect_timeout=5,
            max_reconnect_attempts=1,  # else a node that is away is tried for two minutes
            reconnect_time_wait=1,
            **{"error_cb": _told_otherwise, **account, **options},
        )
        yield client
    finally:
        await _hang_up(client)


async def ask(client: Client, subject: str, body: object = None) -> dict[str, Any]:
    """The answer of one of NATS's own services; raises one of FAILURES."""
    told = b"" if body is None else json.dumps(body).encode()
    return dict(json.loads((await client.request(subject, told, timeout=10)).data))


async def _hang_up(client: Client) -> None:
    """nats-py leaves the socket of a refused connection open."""
    transport = getattr(client, "_transport", None)
    await client.close()
    if transport:
        transport.close()
        with suppress(OSError):  # the server was faster: what it said has been told
            await transport.wait_closed()


async def _told_otherwise(_error: Exception) -> None:
    """nats-py would log what it raises as well."""
