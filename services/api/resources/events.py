"""What a network server told of a device beside its values: joins, battery, link margin, faults."""

from datetime import datetime
from typing import Any

from pydantic import Field
from sqlalchemy import literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.access.guard import Router, needs
from services.api.deps import ByTimeAndUuid, Db, Id, Word
from services.api.listing import (
    FIRST,
    Listing,
    Page,
    Payload,
    cut,
    from_micros,
    micros,
    uuid_from,
    uuid_number,
)
from services.api.placed import origin_of
from services.api.problem import MISSING
from shared.db.tables import device_event
from shared.domain.place import Origin


class Event(Payload):
    """One event; `at` in UTC. The newest 100 of each kind are kept."""

    event_id: str = Field(description="equal to the `uplink_id` of the raw message")
    at: datetime
    kind: str = Field(examples=["status"])
    detail: dict[str, Any] = Field(examples=[{"margin_db": 7, "battery_percent": 93.5}])
    origin: Origin


class Events(Listing[Event]):
    """Events of one device, the newest first."""


router = Router(tags=["devices"])


async def events(
    connection: AsyncConnection, device_id: int, *, kind: str | None = None, page: Page = FIRST
) -> Events:
    """Events of one device, of one kind where given; raises NotFound."""
    origin = await origin_of(connection, device_id)
    query = select(device_event).where(device_event.c.device_id == device_id)
    if kind is not None:
        query = query.where(device_event.c.kind == kind)
    key = tuple_(device_event.c.at, device_event.c.event_id)
    if page.after:
        last = literal(uuid_from(page.after[1]), device_event.c.event_id.type)
        query = query.where(key < tuple_(from_micros(page.after[0]), last))
    newest_first = query.order_by(device_event.c.at.desc(), device_event.c.event_id.desc())
    fetched = (await connection.execute(newest_first.limit(page.limit + 1))).all()
    rows, following = cut(fetched, page, lambda row: (micros(row.at), uuid_number(row.event_id)))
    items = [Event.model_validate({**row._mapping, "origin": origin}) for row in rows]
    return Events(items=items, next=following)


@router.get(
    "/devices/{device}/events",
    summary="Health and events of a device",
    responses=MISSING,
    dependencies=[needs("event:read")],
)
async def _list(connection: Db, device: Id, page: ByTimeAndUuid, kind: Word = None) -> Events:
    return await events(connection, device, kind=kind, page=page)
