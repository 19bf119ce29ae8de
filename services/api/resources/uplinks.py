"""Raw messages of a device, as they were received and before anything was made of them."""

from base64 import b64encode
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field
from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.access.guard import Router, needs
from services.api.deps import ByTimeAndUuid, Id, TimeRange, Visitor
from services.api.listing import (
    ALWAYS,
    FIRST,
    Listing,
    Page,
    Payload,
    Range,
    cut,
    micros,
    newest_first,
    uuid_number,
)
from services.api.placed import origin_of, place_of
from services.api.problem import MISSING
from shared.db.tables import source, uplink
from shared.domain.place import Origin

Encoding = Literal["base64", "hex"]


class Uplink(Payload):
    """One message as received; times in UTC. Kept 90 days."""

    uplink_id: str = Field(description="made of topic and bytes alone")
    observed_at: datetime
    received_at: datetime
    source: str | None = Field(examples=["chirpstack"])
    topic: str
    event: str = Field(description="up, or what else a network server tells", examples=["up"])
    history: bool = Field(description="values of several times, or sent again later")
    f_cnt: int | None = Field(description="LoRaWAN frame counter")
    f_port: int | None = Field(description="LoRaWAN port")
    radio: dict[str, Any] | None = Field(description="as the network server told it")
    gateways: list[str] | None = Field(description="that heard it")
    bytes: int = Field(description="length of the payload")
    payload: str = Field(description="all its bytes, in the encoding asked for")
    text: str | None = Field(description="the payload read as UTF-8; null: it is none")
    origin: Origin


class Uplinks(Listing[Uplink]):
    """Messages of one device, the newest observed first."""


router = Router(tags=["devices"])


async def uplinks(
    connection: AsyncConnection,
    device_id: int,
    *,
    encoding: Encoding = "base64",
    span: Range = ALWAYS,
    page: Page = FIRST,
) -> Uplinks:
    """Messages of one device observed in `span`; raises NotFound."""
    origin = await origin_of(connection, device_id)
    fetched = (await connection.execute(_select(device_id, span, page))).all()
    rows, following = cut(
        fetched, page, lambda row: (micros(row.observed_at), uuid_number(row.uplink_id))
    )
    return Uplinks(items=[_item(row, origin, encoding) for row in rows], next=following)


def _select(device_id: int, span: Range, page: Page) -> Select[Any]:
    query = (
        select(uplink, source.c.key.label("source"))
        .outerjoin(source, source.c.id == uplink.c.source_id)
        .where(uplink.c.device_id == device_id)
    )
    if span.start:
        query = query.where(uplink.c.observed_at >= span.start)
    if span.end:
        query = query.where(uplink.c.observed_at < span.end)
    return newest_first(query, uplink.c.observed_at, uplink.c.uplink_id, page)


def _item(row: Row[Any], origin: Origin, encoding: Encoding) -> Uplink:
    raw = bytes(row.payload)
    return Uplink.model_validate(
        {
            **row._mapping,
            "bytes": len(raw),
            "payload": raw.hex() if encoding == "hex" else b64encode(raw).decode(),
            "text": as_text(raw),
            "origin": origin,
        }
    )


def as_text(raw: bytes) -> str | None:
    """The bytes read as UTF-8, or None where they are something else."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


@router.get(
    "/devices/{device}/uplinks",
    summary="Raw messages of a device",
    responses=MISSING,
    dependencies=[needs("uplink:read")],
)
async def _list(
    visit: Visitor,
    device: Id,
    span: TimeRange,
    page: ByTimeAndUuid,
    encoding: Annotated[Encoding, Query(description="of the payload's bytes")] = "base64",
) -> Uplinks:
    place = await place_of(visit.connection, device)
    await visit.record("read", f"device/{device}/uplinks", site_id=place.site_id)
    return await uplinks(visit.connection, device, encoding=encoding, span=span, page=page)
