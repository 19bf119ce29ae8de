"""The live stream: one LISTEN for the process, fanned out to every client as server-sent events."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import psycopg
import structlog
from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.api.resources.latest import Latest, latest_of
from shared.db import scope
from shared.db.change import CHANNEL
from shared.db.session import API_READ
from shared.db.tables import change
from shared.settings import Database

TICK_S: Final = 0.25  # what changes within a tick becomes one event: at most 4 a second
CONNECT_S: Final = 5
BACKOFF_S: Final = (0.5, 1.0, 2.0, 5.0)
QUEUE: Final = 16  # events a slow client may fall behind
REPLAY: Final = 500  # batches looked back at after an interruption
# Batches commit slightly out of the order of their ids. Telling a value twice does no harm.
OVERLAP: Final = 20

_REASON: Final = '{{"reason":"{}"}}'
_log = structlog.get_logger("live")
_LIST: Final = TypeAdapter(list[Latest])


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; `batch_id` is the newest batch it covers."""

    name: str
    batch_id: int
    data: str


@dataclass(frozen=True, eq=False, slots=True)
class Client:
    """One open stream: what it wants to see, and its bounded queue. None in it ends the stream."""

    site: str | None
    pilot: str | None
    sees: Collection[str] | None = None  # keys of its sites; None: every site
    queue: asyncio.Queue[Event | None] = field(default_factory=lambda: asyncio.Queue(QUEUE))

    def event(self, batch_id: int, items: Iterable[Latest]) -> Event | None:
        """What of `items` this client sees, or None."""
        seen = [
            item
            for item in items
            if self.site in (None, item.site)
            and self.pilot in (None, item.pilot)
            and (self.sees is None or item.site in self.sees)
        ]
        return Event("reading", batch_id, _LIST.dump_json(seen).decode()) if seen else None

    def offer(self, event: Event | None) -> None:
        """Queue an event; a client that lags loses what it has not read, and is told so."""
        if self.queue.full():
            while not self.queue.empty():
                self.queue.get_nowait()
            if event is not None:
                reason = _REASON.format(f"{QUEUE} events were not read in time")
                self.queue.put_nowait(Event("lagged", event.batch_id, reason))
        self.queue.put_nowait(event)


async def missed(connection: AsyncConnection, client: Client, after: int) -> AsyncIterator[Event]:
    """What a client that was away since batch `after` has to be told, in at most two events."""
    newest = await newest_batch(connection)
    if newest <= after:
        return
    first = max(after - OVERLAP, newest - REPLAY)
    if first > after:
        yield Event(
            "lagged", newest, _REASON.format(f"batches {after + 1} to {first} are not told")
        )
    if event := client.event(newest, await _changed(connection, change.c.batch_id > first)):
        yield event


async def newest_batch(connection: AsyncConnection) -> int:
    """The newest batch there is; 0 before the first."""
    return await connection.scalar(select(func.coalesce(func.max(change.c.batch_id), 0))) or 0


async def _changed(connection: AsyncConnection, which: ColumnElement[bool]) -> list[Latest]:
    """Latest readings of the datastreams that the given batches touched."""
    await connection.run_sync(scope.enter, None)  # each client is given its own sites' part
    ids = select(func.unnest(change.c.datastream_ids)).where(which).distinct()
    return await latest_of(connection, datetime.now(UTC), [*await connection.scalars(ids)])


class Hub:
    """Follows `change` while clients are there, and gives each what it asked for."""

    def __init__(self) -> None:
        self._clients: set[Client] = set()
        self._pending: set[int] = set()
        self._newest: int | None = None
        self._wake = asyncio.Event()
        self._closed = False
        # Held while at the database: a connection cut off half-made would never be closed.
        self._talking = asyncio.Lock()
        self.listening = asyncio.Event()

    @asynccontextmanager
    async def following(self, database: Database, engine: AsyncEngine) -> AsyncIterator[None]:
        """Listen and fan out until the block ends."""
        tasks = [
            asyncio.create_task(self._listen(database, engine)),
            asyncio.create_task(self._fan_out(engine)),
        ]
        try:
            yield
        finally:
            self.close()
            async with self._talking:
                for task in tasks:
                    task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task

    @property
    def clients(self) -> int:
        """How many streams are open."""
        return len(self._clients)

    def close(self) -> None:
        """End every stream, so that the server can stop."""
        self._closed = True
        for client in self._clients:
            client.offer(None)

    @asynccontextmanager
    async def subscribed(self, client: Client) -> AsyncIterator[asyncio.Queue[Event | None]]:
        """The events of one client while the block lasts."""
        self._clients.add(client)
        if self._closed:
            client.offer(None)
        try:
            yield client.queue
        finally:
            self._clients.discard(client)

    async def _listen(self, database: Database, engine: AsyncEngine) -> None:
        failures = 0
        while True:
            try:
                async with self._talking:
                    connection = await psycopg.AsyncConnection.connect(
                        database.url,
                        autocommit=True,
                        connect_timeout=CONNECT_S,
                        options=API_READ.options,
                    )
                async with connection:
                    async with self._talking:
                        await connection.execute(f"LISTEN {CHANNEL}")
                        await self._catch_up(engine)
                    failures = 0
                    self.listening.set()
                    async for notify in connection.notifies():
                        self._note(notify.payload)
            except (psycopg.Error, SQLAlchemyError) as error:
                self.listening.clear()
                wait = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
                failures += 1
                _log.warning("listen_interrupted", error=str(error).strip(), retry_s=wait)
                await asyncio.sleep(wait)

    def _note(self, payload: str) -> None:
        if not payload.isdecimal():  # anybody may NOTIFY, and one odd word must not end the stream
            _log.warning("not_a_batch", payload=payload[:80])
            return
        self._pending.add(int(payload))
        self._wake.set()

    async def _catch_up(self, engine: AsyncEngine) -> None:
        """Take up the batches committed while nobody listened."""
        async with engine.connect() as connection:
            newest = await newest_batch(connection)
            if self._newest is not None and newest > self._newest:
                first = max(self._newest - OVERLAP, newest - REPLAY)
                self._pending.update(range(first + 1, newest + 1))
                self._wake.set()
            self._newest = newest

    async def _fan_out(self, engine: AsyncEngine) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            batches, self._pending = self._pending, set()
            self._newest = max(self._newest or 0, *batches)
            try:
                if self._clients:
                    async with self._talking:
                        await self._tell(engine, batches, self._newest)
                await asyncio.sleep(TICK_S)
            except SQLAlchemyError as error:
                _log.warning("live_query_failed", error=str(error).strip())
                self._pending |= batches
                self._wake.set()
                await asyncio.sleep(BACKOFF_S[-1])

    async def _tell(self, engine: AsyncEngine, batches: set[int], newest: int) -> None:
        async with engine.connect() as connection:
            items = await _changed(connection, change.c.batch_id.in_(batches))
        for client in self._clients:
            if event := client.event(newest, items):
                client.offer(event)
