"""What was refused anywhere: whole messages and single values, with both values of a conflict."""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import Field
from sqlalchemy import ColumnElement, Row, Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

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
from services.api.placed import DATASTREAMS
from services.api.problem import NotFound
from shared.db.tables import datastream, device, rejected, site, source
from shared.domain.place import Origin

Scope = Literal["message", "item"]
# As ingest writes it: services/ingest/rejects.py.
_CONFLICT: Final = re.compile(r"datastream (\d+) at (\S+): arrived (\S+), stored (\S+)")


class BothValues(Payload):
    """A second value for one time: the stored one came first and stays."""

    datastream_id: int
    property: str | None = Field(examples=["water_level"])
    unit: str | None = Field(examples=["m"])
    time: datetime
    arrived: float
    stored: float


class Refusal(Payload):
    """One refusal without its bytes; times in UTC."""

    reject_id: str
    received_at: datetime
    site: str | None = Field(examples=["cibinong"])
    source: str | None = Field(examples=["chirpstack"])
    device_id: int | None = Field(description="null: no device was recognised")
    device: str | None
    scope: Scope = Field(
        description="message: refused whole; item: one value of a message that was stored"
    )
    reason: str = Field(examples=["unknown_device"])
    detail: str
    topic: str
    bytes: int | None = Field(description="length of the payload; null: not kept here")
    uplink_id: str | None = Field(description="the stored message an item was part of")
    conflict: BothValues | None = Field(description="of the reason `conflict`: both values")
    origin: Origin | None = Field(description="of its device; null: none was recognised")


class WholeRefusal(Refusal):
    """One refusal with its bytes."""

    payload: str | None = Field(description="base64; null for items: see their uplink")


class Refusals(Listing[Refusal]):
    """Refusals, the newest received first."""


@dataclass(frozen=True)
class Chosen:
    """Which refusals; None: all. about: text in topic or detail, such as an EUI."""

    site: str | None = None
    source: str | None = None
    device: str | None = None
    device_id: int | None = None
    reason: str | None = None
    scope: Scope | None = None
    about: Sequence[str] = ()
    span: Range = ALWAYS


EVERY: Final = Chosen()


async def refusals(
    connection: AsyncConnection, chosen: Chosen = EVERY, *, page: Page = FIRST
) -> Refusals:
    """Refusals of the sites that are seen, without their bytes."""
    query = _select().where(*conditions(chosen))
    paged = newest_first(query, rejected.c.received_at, rejected.c.reject_id, page)
    fetched = (await connection.execute(paged)).all()
    rows, following = cut(
        fetched, page, lambda row: (micros(row.received_at), uuid_number(row.reject_id))
    )
    streams = await _streams(connection, rows)
    return Refusals(
        items=[Refusal.model_validate(_told(row, streams)) for row in rows], next=following
    )


async def find_refusal(connection: AsyncConnection, reject_id: str) -> WholeRefusal:
    """One refusal with its bytes; raises NotFound."""
    query = _select().add_columns(rejected.c.payload).where(rejected.c.reject_id == reject_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound(f"no reject {reject_id}")
    told = _told(row, await _streams(connection, [row]))
    raw = None if row.payload is None else b64encode(bytes(row.payload)).decode()
    return WholeRefusal.model_validate({**told, "payload": raw})


def conditions(chosen: Chosen) -> list[ColumnElement[bool]]:
    """Of a query that joins source, site and device to rejected."""
    wanted = [
        (site.c.key, chosen.site),
        (source.c.key, chosen.source),
        (device.c.key, chosen.device),
        (rejected.c.device_id, chosen.device_id),
        (rejected.c.reason, chosen.reason),
        (rejected.c.scope, chosen.scope),
    ]
    found: list[ColumnElement[bool]] = [column == v for column, v in wanted if v is not None]
    if chosen.span.start:
        found.append(rejected.c.received_at >= chosen.span.start)
    if chosen.span.end:
        found.append(rejected.c.received_at < chosen.span.end)
    if chosen.about:
        found.append(or_(*(_names(each.lower()) for each in chosen.about)))
    return found


def joined(query: Select[Any]) -> Select[Any]:
    """With the source, site and device of each refusal, where they are known."""
    return (
        query.select_from(rejected)
        .outerjoin(source, source.c.id == rejected.c.source_id)
        .outerjoin(site, site.c.id == source.c.site_id)
        .outerjoin(device, device.c.id == rejected.c.device_id)
    )


def _names(text: str) -> ColumnElement[bool]:
    places = (rejected.c.topic, rejected.c.detail)
    return or_(*(func.strpos(func.lower(each), text) > 0 for each in places))


def _select() -> Select[Any]:
    own = [column for column in rejected.c if column.name not in ("payload", "source_id")]
    return joined(
        select(
            *own,
            func.octet_length(rejected.c.payload).label("bytes"),
            source.c.key.label("source"),
            site.c.key.label("site"),
            device.c.key.label("device"),
            device.c.origin,
        )
    )


async def _streams(connection: AsyncConnection, rows: Sequence[Row[Any]]) -> dict[int, Any]:
    """Property and unit of the datastreams that conflicts are about."""
    matches = [_CONFLICT.match(row.detail) for row in rows if row.reason == "conflict"]
    ids = {int(match[1]) for match in matches if match}
    if not ids:
        return {}
    query = select(datastream.c.id, datastream.c.property, datastream.c.unit)
    query = query.select_from(DATASTREAMS).where(datastream.c.id.in_(ids))
    found = (await connection.execute(query)).all()
    return {row.id: row for row in found}


def _told(row: Row[Any], streams: dict[int, Any]) -> dict[str, Any]:
    return {**row._mapping, "conflict": _both(row, streams)}


def _both(row: Row[Any], streams: dict[int, Any]) -> BothValues | None:
    match = _CONFLICT.match(row.detail) if row.reason == "conflict" else None
    if match is None:
        return None
    stream = streams.get(int(match[1]))
    return BothValues(
        datastream_id=int(match[1]),
        property=stream.property if stream else None,
        unit=stream.unit if stream else None,
        time=datetime.fromisoformat(match[2]),
        arrived=float(match[3]),
        stored=float(match[4]),
    )
