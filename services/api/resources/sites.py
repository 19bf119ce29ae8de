"""Sites: the places, each with its time zone and stage."""

from typing import Any

from pydantic import Field
from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.access.guard import Router, needs
from services.api.deps import ById, Db, SitePath
from services.api.listing import FIRST, Listing, Page, Payload, cut, ordered
from services.api.problem import MISSING, NotFound
from shared.db.tables import device, pilot, site
from shared.domain.place import Stage


class Site(Payload):
    """One site; lat and lon in degrees (WGS 84), zone by its IANA name."""

    key: str = Field(examples=["cibinong"])
    name: str = Field(examples=["Cibinong"])
    zone: str = Field(examples=["Asia/Jakarta"])
    lat: float = Field(examples=[-6.48])
    lon: float = Field(examples=[106.85])
    stage: Stage
    pilots: int = Field(description="number of pilots")
    devices: int = Field(description="number of devices")


class Sites(Listing[Site]):
    """Sites in the order in which they were added."""


router = Router(tags=["sites"])


async def sites(connection: AsyncConnection, *, page: Page = FIRST) -> Sites:
    """All sites."""
    query = ordered(_select(), site.c.id, page)
    rows, following = cut((await connection.execute(query)).all(), page, lambda row: (row.id,))
    return Sites(items=[Site.model_validate(row) for row in rows], next=following)


async def find_site(connection: AsyncConnection, key: str) -> Site:
    """One site by key; raises NotFound."""
    row = (await connection.execute(_select().where(site.c.key == key))).one_or_none()
    if row is None:
        raise NotFound(f"no site {key!r}")
    return Site.model_validate(row)


def _select() -> Select[Any]:
    return select(
        site,
        *(
            select(func.count())
            .where(table.c.site_id == site.c.id)
            .scalar_subquery()
            .label(f"{table.name}s")
            for table in (pilot, device)
        ),
    )


@router.get("/sites", summary="Sites", dependencies=[needs("site:read")])
async def _list(connection: Db, page: ById) -> Sites:
    return await sites(connection, page=page)


@router.get(
    "/sites/{site}", summary="One site", responses=MISSING, dependencies=[needs("site:read")]
)
async def _one(connection: Db, site: SitePath) -> Site:
    return await find_site(connection, site)
