"""Citizen feedback as counts; what people wrote stays where it is."""

from pydantic import Field
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.access.guard import Router, needs
from services.api.deps import Db, SiteKey
from services.api.listing import Payload
from shared.db.tables import service_request, site
from shared.domain.place import Origin


class Requests(Payload):
    """Service requests of one site, code, status and origin."""

    site: str = Field(examples=["cibinong"])
    service_code: str = Field(examples=["flooded_street"])
    status: str = Field(examples=["open"])
    origin: Origin
    n: int
    rated: int = Field(description="those with a rating")
    mean_rating: float | None = Field(description="1 to 5; null: nobody rated")


class Summary(Payload):
    """All counts; there is one item for each combination that occurs."""

    items: list[Requests]
    total: int
    next: None = Field(default=None, description="always null: the whole list is here")


router = Router(tags=["feedback"])


async def feedback_summary(connection: AsyncConnection, *, site_key: str | None = None) -> Summary:
    """Counts of service requests per site, code, status and origin; no text."""
    keys = (
        site.c.key.label("site"),
        service_request.c.service_code,
        service_request.c.status,
        service_request.c.origin,
    )
    query = (
        select(
            *keys,
            func.count().label("n"),
            func.count(service_request.c.rating).label("rated"),
            func.avg(service_request.c.rating).label("mean_rating"),
        )
        .join(site, site.c.id == service_request.c.site_id)
        .group_by(*keys)
        .order_by(*keys)
    )
    if site_key is not None:
        query = query.where(site.c.key == site_key)
    items = [Requests.model_validate(row) for row in await connection.execute(query)]
    return Summary(items=items, total=sum(item.n for item in items))


@router.get(
    "/feedback/summary",
    summary="Counts of citizen feedback",
    dependencies=[needs("feedback:count")],
)
async def _summary(connection: Db, site: SiteKey = None) -> Summary:
    return await feedback_summary(connection, site_key=site)
