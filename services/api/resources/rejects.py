"""What of a device was refused, whole messages and single values, each with its reason."""

from base64 import b64encode
from datetime import datetime
from typing import Any, Literal

from pydantic import Field
from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.access.guard import Router, needs
from services.api.deps import ByTimeAndUuid, Id, Visitor, Word
from services.api.listing import (
    FIRST,
    Listing,
    Page,
    Payload,
    cut,
    micros,
    newest_first,
    uuid_number,
)
from services.api.placed import origin_of, place_of
from services.api.problem import MISSING
from shared.db.tables import rejected, source
from shared.domain.place import Origin


class Reject(Payload):
    """One refusal; times in UTC. A message of an unknown device belongs to no device's list."""

    reject_id: str
    received_at: datetime
    source: str | None = Field(examples=["chirpstack"])
    scope: Literal["message", "item"] = Field(
        description="message: refused whole; item: one value of a message that was stored"
    )
    reason: str = Field(examples=["unmapped"])
    detail: str
    topic: str
    bytes: int | None = Field(description="length of the payload; null: not kept here")
    payload: str | None = Field(description="base64; null for items: see their uplink")
    uplink_id: str | None = Field(description="the stored message an item was part of")
    origin: Origin


class Rejects(Listing[Reject]):
    """Refusals of one device, the newest received first."""


router = Router(tags=["devices"])


async def rejects(
    connection: AsyncConnection,
    device_id: int,
    *,
    reason: str | None = None,
    page: Page = FIRST,
) -> Rejects:
    """Refusals of one device, of one reason where given; raises NotFound."""
    origin = await origin_of(connection, device_id)
    fetched = (await connection.execute(_select(device_id, reason, page))).all()
    rows, following = cut(
        fetched, page, lambda row: (micros(row.received_at), uuid_number(row.reject_id))
    )
    return Rejects(items=[_item(row, origin) for row in rows], next=following)


def _select(device_id: int, reason: str | None, page: Page) -> Select[Any]:
    query = (
        select(rejected, source.c.key.label("source"))
        .outerjoin(source, source.c.id == rejected.c.source_id)
        .where(rejected.c.device_id == device_id)
    )
    if reason is not None:
        query = query.where(rejected.c.reason == reason)
    return newest_first(query, rejected.c.received_at, rejected.c.reject_id, page)


def _item(row: Row[Any], origin: Origin) -> Reject:
    raw = None if row.payload is None else bytes(row.payload)
    return Reject.model_validate(
        {
            **row._mapping,
            "bytes": None if raw is None else len(raw),
            "payload": None if raw is None else b64encode(raw).decode(),
            "origin": origin,
        }
    )


@router.get(
    "/devices/{device}/rejects",
    summary="Refusals of a device",
    responses=MISSING,
    dependencies=[needs("reject:read")],
)
async def _list(visit: Visitor, device: Id, page: ByTimeAndUuid, reason: Word = None) -> Rejects:
    place = await place_of(visit.connection, device)
    await visit.record("read", f"device/{device}/rejects", site_id=place.site_id)
    return await rejects(visit.connection, device, reason=reason, page=page)
