"""Where datastreams and devices belong: the joins that several lists share."""

from typing import Final

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


async def origin_of(connection: AsyncConnection, device_id: int) -> Origin:
    """The origin of a device, which is that of all it sent; raises NotFound."""
    known = select(device.c.origin).where(device.c.id == device_id)
    origin: Origin | None = await connection.scalar(known)
    if origin is None:
        raise NotFound(f"no device {device_id}")
    return origin
