"""Devices: what measures, where it stands and its life cycle."""

from datetime import UTC, datetime
from typing import Any

from pydantic import Field
from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.access.guard import Router, needs
from services.api.deps import ById, Db, Id, OriginFilter, PilotKey, SiteKey
from services.api.listing import FIRST, Listing, Page, Payload, cut, ordered
from services.api.problem import MISSING, NotFound
from shared.db.tables import device, pilot, profile, site, source
from shared.domain.place import Origin


class Maintenance(Payload):
    """A span in which the device was not expected to report."""

    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")


class Device(Payload):
    """One device; lat and lon in degrees (WGS 84), null where unknown; times in UTC."""

    id: int
    key: str = Field(examples=["gauge-1"])
    external_id: str | None = Field(
        description="radio identity; null: its topic names the device",
        examples=["eui:24e124136b000001"],
    )
    site: str = Field(examples=["cibinong"])
    pilot: str | None = Field(examples=["flood"])
    pilot_id: int | None
    source: str = Field(examples=["gateway"])
    profile: str | None = Field(examples=["level-gauge"])
    interval_s: int | None = Field(description="expected time between readings, seconds")
    lat: float | None
    lon: float | None
    planned: datetime | None
    commissioned: datetime | None
    cancelled: datetime | None
    maintenance: list[Maintenance] = Field(description="half-open spans")
    origin: Origin
    shift_s: int = Field(description="how far recorded times were moved, seconds")


class Devices(Listing[Device]):
    """Devices in the order in which they were added."""


router = Router(tags=["devices"])


async def devices(
    connection: AsyncConnection,
    *,
    site_key: str | None = None,
    pilot_key: str | None = None,
    origin: Origin | None = None,
    page: Page = FIRST,
) -> Devices:
    """Devices, of one site, pilot or origin where given."""
    query = ordered(_select(), device.c.id, page)
    wanted = ((site.c.key, site_key), (pilot.c.key, pilot_key), (device.c.origin, origin))
    for column, value in wanted:
        if value is not None:
            query = query.where(column == value)
    rows, following = cut((await connection.execute(query)).all(), page, lambda row: (row.id,))
    return Devices(items=[_device(row) for row in rows], next=following)


async def find_device(connection: AsyncConnection, device_id: int) -> Device:
    """One device by id; raises NotFound."""
    row = (await connection.execute(_select().where(device.c.id == device_id))).one_or_none()
    if row is None:
        raise NotFound(f"no device {device_id}")
    return _device(row)


def _device(row: Row[Any]) -> Device:
    spans = [{"from": _utc(start), "to": _utc(end)} for start, end in row.maintenance]
    return Device.model_validate({**row._mapping, "maintenance": spans})


def _utc(stored: str) -> datetime:
    return datetime.fromisoformat(stored).astimezone(UTC)


def _select() -> Select[Any]:
    return (
        select(
            device,
            site.c.key.label("site"),
            pilot.c.key.label("pilot"),
            source.c.key.label("source"),
            profile.c.key.label("profile"),
            profile.c.interval_s,
        )
        .join(site, site.c.id == device.c.site_id)
        .join(source, source.c.id == device.c.source_id)
        .outerjoin(pilot, pilot.c.id == device.c.pilot_id)
        .outerjoin(profile, profile.c.id == device.c.profile_id)
    )


@router.get("/devices", summary="Devices", dependencies=[needs("device:read")])
async def _list(
    connection: Db,
    page: ById,
    site: SiteKey = None,
    pilot: PilotKey = None,
    origin: OriginFilter = None,
) -> Devices:
    return await devices(connection, site_key=site, pilot_key=pilot, origin=origin, page=page)


@router.get(
    "/devices/{device}",
    summary="One device",
    responses=MISSING,
    dependencies=[needs("device:read")],
)
async def _one(connection: Db, device: Id) -> Device:
    return await find_device(connection, device)
