"""A real server on a port of this machine, and bare connections to it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from services.api.main import Server, listening, server
from shared.embedded.nats import free_port
from shared.settings import Access, Api, Database

PATIENCE_S = 60  # a busy machine is slow, not wrong


@dataclass(frozen=True)
class Served:
    """The server and where it listens."""

    server: Server
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["Bare"]:
        """A connection on which anything may be said."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Bare(reader, writer)
        finally:
            writer.transport.abort()


@dataclass(frozen=True)
class Bare:
    """One connection, byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
        await self.writer.drain()

    async def rest(self) -> bytes:
        """All until the server closes the connection, or resets it for what we still send."""
        said = b""
        with suppress(ConnectionResetError):
            async with asyncio.timeout(PATIENCE_S):
                while chunk := await self.reader.read(65_536):
                    said += chunk
        return said

    async def problem(self) -> dict[str, Any]:
        """The problem that ends the connection, its headers looked at."""
        head, _, body = (await self.rest()).partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        assert b"connection: close" in lines
        assert b"content-type: application/problem+json" in lines
        assert b"x-content-type-options: nosniff" in lines
        told: dict[str, Any] = json.loads(body)
        assert lines[0].split()[1] == str(told["status"]).encode()
        return told


@asynccontextmanager
async def serving(database: Database, **settings: Any) -> AsyncIterator[Served]:
    """The server, its live stream listening, until the block ends."""
    port = free_port()
    api = Api(port=port, **settings)
    served = server(database, api=api, access=Access(public=True))
    with listening(api) as listener:
        task = asyncio.create_task(served.serve(sockets=[listener]))
        try:
            await asyncio.wait_for(served.hub.listening.wait(), PATIENCE_S)
            yield Served(served, port)
        finally:
            served.should_exit = True
            await task
