"""Where datastreams and devices belong: the joins that several lists share."""

from typing import Final, NamedTuple

from sqlalchemy import FromClause, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.problem import NotFound
from shared.db.tables import datastream, device, pilot, site
from shared.domain.place import Origin

# Every datastream with its device, site and, where it has one, pilot.
DATASTREAMS: Final[FromClause] = (
    datastream.join(device, device.c.id == datastream.c.device_id)
    .join(site, site.c.id == device.c.site_id)
    .outerjoin(pilot, pilot.c.id == device.c.pilot_id)
)


class Place(NamedTuple):
    """Where a device belongs, and the origin of all it sent."""

    origin: Origin
    site_id: int


async def place_of(connection: AsyncConnection, device_id: int) -> Place:
    """Site and origin of a device; raises NotFound."""
    known = select(device.c.origin, device.c.site_id).where(device.c.id == device_id)
    row = (await connection.execute(known)).one_or_none()
    if row is None:
        raise NotFound(f"no device {device_id}")
    return Place(*row)


async def site_of_datastream(connection: AsyncConnection, datastream_id: int) -> int | None:
    """Id of the site a datastream belongs to; None: there is no such datastream."""
    of = select(device.c.site_id).select_from(DATASTREAMS).where(datastream.c.id == datastream_id)
    found: int | None = await connection.scalar(of)
    return found


async def origin_of(connection: AsyncConnection, device_id: int) -> Origin:
    """The origin of a device; raises NotFound."""
    return (await place_of(connection, device_id)).origin
