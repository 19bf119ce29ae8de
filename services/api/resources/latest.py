"""The latest reading of every datastream: a query, not a state that could be wrong."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import Field
from sqlalchemy import ARRAY, Integer, Row, Select, any_, literal, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.access.guard import Router, needs
from services.api.deps import ById, Db, DeviceKey, Flag, PilotKey, SiteKey
from services.api.listing import FIRST, Listing, Page, Payload, cut, ordered
from services.api.placed import DATASTREAMS
from shared.db.tables import datastream, device, pilot, profile, reading, site
from shared.domain.place import Origin


class Latest(Payload):
    """The reading with the newest observed time, and its age in seconds."""

    datastream_id: int
    site: str = Field(examples=["cibinong"])
    pilot: str | None = Field(examples=["flood"])
    pilot_id: int | None
    device: str = Field(examples=["gauge-1"])
    device_id: int
    property: str = Field(examples=["water_level"])
    channel: str
    unit: str = Field(examples=["m"])
    time: datetime | None = Field(description="observed, UTC; null: never heard")
    value: float | None = Field(examples=[1.25])
    quality: int | None = Field(description="QARTOD: 1 good, 2 not evaluated, 3 suspect, 4 fail")
    age_s: float | None = Field(description="seconds since `time`", examples=[12.5])
    interval_s: int | None = Field(description="expected time between readings, seconds")
    derived_by: str | None = Field(description="pilot kind that computes it; null: measured")
    origin: Origin


class LatestReadings(Listing[Latest]):
    """Latest readings in the order of their datastreams."""


router = Router(tags=["latest"])


async def latest(
    connection: AsyncConnection,
    now: datetime,
    *,
    site_key: str | None = None,
    pilot_key: str | None = None,
    device_key: str | None = None,
    silent: bool = False,
    page: Page = FIRST,
) -> LatestReadings:
    """Latest readings at `now`; silent: also datastreams that were never heard, with nulls."""
    query = ordered(_select(silent=silent), datastream.c.id, page)
    wanted = ((site.c.key, site_key), (pilot.c.key, pilot_key), (device.c.key, device_key))
    for column, value in wanted:
        if value is not None:
            query = query.where(column == value)
    fetched = (await connection.execute(query)).all()
    rows, following = cut(fetched, page, lambda row: (row.datastream_id,))
    return LatestReadings(items=[_item(row, now) for row in rows], next=following)


async def latest_of(
    connection: AsyncConnection, now: datetime, datastream_ids: Sequence[int]
) -> list[Latest]:
    """Latest readings of the given datastreams, for those that have any."""
    wanted = literal(list(datastream_ids), ARRAY(Integer))  # one parameter, however many
    query = _select(silent=False).where(datastream.c.id == any_(wanted))
    rows = await connection.execute(query.order_by(datastream.c.id))
    return [_item(row, now) for row in rows]


def _select(*, silent: bool) -> Select[Any]:
    newest = (
        select(reading.c.time, reading.c.value, reading.c.quality)
        .where(reading.c.datastream_id == datastream.c.id)
        .order_by(reading.c.time.desc())
        .limit(1)
        .lateral("newest")
    )
    return (
        select(
            datastream.c.id.label("datastream_id"),
            site.c.key.label("site"),
            pilot.c.key.label("pilot"),
            device.c.pilot_id,
            device.c.key.label("device"),
            datastream.c.device_id,
            datastream.c.property,
            datastream.c.channel,
            datastream.c.unit,
            newest,
            profile.c.interval_s,
            datastream.c.derived_by,
            device.c.origin,
        )
        .select_from(DATASTREAMS)
        .outerjoin(profile, profile.c.id == device.c.profile_id)
        .join(newest, true(), isouter=silent)
    )


def _item(row: Row[Any], now: datetime) -> Latest:
    age_s = None if row.time is None else (now - row.time).total_seconds()
    return Latest.model_validate({**row._mapping, "age_s": age_s})


@router.get("/latest", summary="Latest readings", dependencies=[needs("reading:read")])
async def _list(
    connection: Db,
    page: ById,
    site: SiteKey = None,
    pilot: PilotKey = None,
    device: DeviceKey = None,
    silent: Flag = False,
) -> LatestReadings:
    return await latest(
        connection,
        datetime.now(UTC),
        site_key=site,
        pilot_key=pilot,
        device_key=device,
        silent=silent,
        page=page,
    )
