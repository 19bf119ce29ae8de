"""Live readings as server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.api.deps import Db, PilotKey, SiteKey
from services.api.live import Client, Event, Hub, missed
from services.api.problem import MISSING, NotFound
from shared.db.tables import pilot, site
from shared.telemetry import LIVE_STREAMS

HEARTBEAT_S: Final = 15.0
RETRY_MS: Final = 2000


class EventStream(StreamingResponse):
    """Server-sent events, which no proxy may hold back."""

    media_type = "text/event-stream"


router = APIRouter(tags=["live"])


@router.get(
    "/live",
    summary="Latest readings as they arrive",
    description=(
        "Event `reading`: `data` is the list of latest readings (as in /v1/latest) of the"
        " datastreams that changed, `id` the newest batch covered. Event `lagged`: something was"
        " left out, `data.reason` says what; ask /v1/latest. A comment each 15 s keeps it open."
    ),
    responses=MISSING,
    response_class=EventStream,
)
async def _live(
    request: Request,
    connection: Db,
    site: SiteKey = None,
    pilot: PilotKey = None,
    max_events: Annotated[
        int | None, Query(ge=1, le=1_000_000, description="end after so many `reading` events")
    ] = None,
    last_event_id: Annotated[
        str | None, Header(pattern="^[0-9]{1,18}$", description="go on after this batch")
    ] = None,
) -> EventStream:
    await _require(connection, site, pilot)
    events = _events(
        request.app.state.live,
        request.app.state.engine,
        Client(site, pilot),
        after=int(last_event_id) if last_event_id else None,
    )
    return EventStream(
        _written(events, max_events),
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(
    hub: Hub, engine: AsyncEngine, client: Client, *, after: int | None
) -> AsyncIterator[Event | None]:
    """What was missed, then what comes; None when it is time for a heartbeat."""
    async with hub.subscribed(client) as queue:
        if after is not None:
            async with engine.connect() as connection:
                past = [event async for event in missed(connection, client, after)]
            for told in past:
                yield told
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    event = await queue.get()
            except TimeoutError:
                yield None
                continue
            if event is None:
                return
            yield event


async def _written(
    events: AsyncIterator[Event | None], max_events: int | None
) -> AsyncIterator[bytes]:
    LIVE_STREAMS.inc()
    told = 0
    try:
        yield format_sse_event(comment="living lab", retry=RETRY_MS)
        async for event in events:
            if event is None:
                yield format_sse_event(comment="still here")
                continue
            yield format_sse_event(event=event.name, id=str(event.batch_id), data_str=event.data)
            told += event.name == "reading"
            if told == max_events:
                return
    finally:
        LIVE_STREAMS.dec()
        await events.aclose()  # type: ignore[attr-defined]


async def _require(
    connection: AsyncConnection, site_key: str | None, pilot_key: str | None
) -> None:
    """Raise NotFound for a site or pilot that does not exist: its stream would stay empty."""
    if site_key is not None:
        known = select(site.c.id).where(site.c.key == site_key)
        if await connection.scalar(known) is None:
            raise NotFound(f"no site {site_key!r}")
    if pilot_key is not None:
        known = select(pilot.c.id).where(pilot.c.key == pilot_key)
        if site_key is not None:
            known = known.join(site, site.c.id == pilot.c.site_id).where(site.c.key == site_key)
        if (await connection.scalars(known)).first() is None:
            raise NotFound(f"no pilot {pilot_key!r}" + (f" at {site_key!r}" if site_key else ""))
