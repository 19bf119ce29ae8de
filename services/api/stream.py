"""Live readings as server-sent events."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from time import monotonic
from typing import Annotated, Final

from fastapi import Depends, Header, Query, Request
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.api.access.guard import Router, needs, still_may
from services.api.deps import PilotKey, SiteKey, Visitor
from services.api.gate.limits import Limits
from services.api.live import Client, Event, Hub, missed
from services.api.problem import MISSING, NotFound
from shared.db.tables import pilot, site
from shared.telemetry import LIVE_STREAMS

HEARTBEAT_S: Final = 15.0
CHECK_S: Final = 3.0  # how long a stream outlives its key or session at most
RETRY_MS: Final = 2000
PERMISSION: Final = "reading:read"


class EventStream(StreamingResponse):
    """Server-sent events, which no proxy may hold back."""

    media_type = "text/event-stream"


async def _counted(request: Request, visit: Visitor) -> AsyncIterator[None]:
    """Count the stream of somebody known, from whatever address, until it has ended."""
    if visit.actor.principal_id is None:
        yield
        return
    limits: Limits = request.app.state.limits
    with limits.streams_of_principals.held(str(visit.actor.principal_id)):
        yield


router = Router(tags=["live"])


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
    dependencies=[needs(PERMISSION), Depends(_counted)],
)
async def _live(
    request: Request,
    visit: Visitor,
    site: SiteKey = None,
    pilot: PilotKey = None,
    max_events: Annotated[
        int | None, Query(ge=1, le=1_000_000, description="end after so many `reading` events")
    ] = None,
    last_event_id: Annotated[
        str | None, Header(pattern="^[0-9]{1,18}$", description="go on after this batch")
    ] = None,
) -> EventStream:
    await _require(visit.connection, site, pilot)
    events = _events(
        request.app.state.live,
        request.app.state.beside,
        Client(site, pilot, visit.keys(visit.sites)),
        after=int(last_event_id) if last_event_id else None,
        still=partial(still_may, request.app, visit.credentials, PERMISSION, visit.sites),
    )
    return EventStream(
        _written(events, max_events),
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(
    hub: Hub,
    engine: AsyncEngine,
    client: Client,
    *,
    after: int | None,
    still: Callable[[], Awaitable[bool]],
) -> AsyncIterator[Event | None]:
    """What was missed, then what comes; None when it is time for a heartbeat.

    Ends once its reader may no longer see what it began with.
    """
    async with hub.subscribed(client) as queue:
        if after is not None:
            async with engine.connect() as connection:
                past = [event async for event in missed(connection, client, after)]
            for told in past:
                yield told
        checked = told_at = monotonic()
        while True:
            event: Event | None = None
            try:
                async with asyncio.timeout(max(0.0, checked + CHECK_S - monotonic())):
                    event = await queue.get()
                    if event is None:
                        return
            except TimeoutError:
                pass
            if monotonic() - checked >= CHECK_S:  # before anything more is told
                if not await still():
                    return
                checked = monotonic()
            if event is None:
                if monotonic() - told_at > HEARTBEAT_S:
                    told_at = monotonic()
                    yield None
                continue
            told_at = monotonic()
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
