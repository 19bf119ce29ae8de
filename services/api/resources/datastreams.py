"""Datastreams: one observed property of one device in one canonical unit."""

from typing import Any

from pydantic import Field
from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.access.guard import Router, needs
from services.api.deps import ById, Db, DeviceKey, Id, PilotKey, SiteKey, Word
from services.api.listing import FIRST, Listing, Page, Payload, cut, ordered
from services.api.placed import DATASTREAMS
from services.api.problem import MISSING, NotFound
from shared.db.tables import datastream, device, pilot, site
from shared.domain.place import Origin
from shared.domain.property import PROPERTIES


class Datastream(Payload):
    """One datastream. derived_by null: its readings come from the device itself."""

    id: int
    site: str = Field(examples=["cibinong"])
    zone: str = Field(examples=["Asia/Jakarta"])
    pilot: str | None = Field(examples=["flood"])
    pilot_id: int | None
    device: str = Field(examples=["gauge-1"])
    device_id: int
    property: str = Field(examples=["water_level"])
    label: str | None = Field(
        description="null: not a property of this release", examples=["Water level"]
    )
    channel: str = Field(description="tells apart two sensors of one property; mostly empty")
    unit: str = Field(description="UCUM where it has one", examples=["m"])
    decimals: int | None = Field(description="digits worth showing after the point")
    derived_by: str | None = Field(description="pilot kind that computes it", examples=[None])
    origin: Origin


class Datastreams(Listing[Datastream]):
    """Datastreams in the order in which they were added."""


router = Router(tags=["datastreams"])


async def datastreams(
    connection: AsyncConnection,
    *,
    site_key: str | None = None,
    pilot_key: str | None = None,
    device_key: str | None = None,
    property_key: str | None = None,
    page: Page = FIRST,
) -> Datastreams:
    """Datastreams, of one site, pilot, device or property where given."""
    query = ordered(_select(), datastream.c.id, page)
    for column, value in (
        (site.c.key, site_key),
        (pilot.c.key, pilot_key),
        (device.c.key, device_key),
        (datastream.c.property, property_key),
    ):
        if value is not None:
            query = query.where(column == value)
    rows, following = cut((await connection.execute(query)).all(), page, lambda row: (row.id,))
    items = [Datastream.model_validate(_labelled(row)) for row in rows]
    return Datastreams(items=items, next=following)


async def find_datastream(connection: AsyncConnection, datastream_id: int) -> Datastream:
    """One datastream by id; raises NotFound."""
    query = _select().where(datastream.c.id == datastream_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound(f"no datastream {datastream_id}")
    return Datastream.model_validate(_labelled(row))


def _select() -> Select[Any]:
    return select(
        datastream,
        site.c.key.label("site"),
        site.c.zone,
        pilot.c.key.label("pilot"),
        device.c.pilot_id,
        device.c.key.label("device"),
        device.c.origin,
    ).select_from(DATASTREAMS)


def _labelled(row: Row[Any]) -> dict[str, Any]:
    known = PROPERTIES.get(row.property)
    return {
        **row._mapping,
        "label": known.label if known else None,
        "decimals": known.decimals if known else None,
    }


@router.get("/datastreams", summary="Datastreams", dependencies=[needs("datastream:read")])
async def _list(
    connection: Db,
    page: ById,
    site: SiteKey = None,
    pilot: PilotKey = None,
    device: DeviceKey = None,
    property: Word = None,
) -> Datastreams:
    return await datastreams(
        connection,
        site_key=site,
        pilot_key=pilot,
        device_key=device,
        property_key=property,
        page=page,
    )


@router.get(
    "/datastreams/{datastream}",
    summary="One datastream",
    responses=MISSING,
    dependencies=[needs("datastream:read")],
)
async def _one(connection: Db, datastream: Id) -> Datastream:
    return await find_datastream(connection, datastream)
