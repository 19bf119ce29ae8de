"""Pilots: one menu-board service tried at one site."""

from typing import Any, TypeVar

from pydantic import Field
from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.access.guard import Router, needs
from services.api.access.visit import Visit
from services.api.deps import ById, Id, OriginFilter, SiteKey, Visitor, Word
from services.api.listing import FIRST, Listing, Page, Payload, cut, ordered
from services.api.problem import MISSING, NotFound
from shared import catalogue
from shared.db.tables import device, pilot, pilot_kind, site
from shared.domain.place import Origin


class Pilot(Payload):
    """One pilot. kind null: observed and shown, not analysed."""

    id: int
    key: str = Field(examples=["flood"])
    site: str = Field(examples=["cibinong"])
    service: str = Field(description="id or slug in /v1/catalogue", examples=["SEC-02"])
    service_name: str | None = Field(
        description="null: the menu board has no such service",
        examples=["Weather risk management system"],
    )
    kind: str | None = Field(examples=["flood"])
    phase: int = Field(ge=1, le=3)
    origin: Origin
    params: dict[str, Any] = Field(
        description="settings of its kind, as the site gave them; empty without device:read"
    )
    devices: int = Field(description="number of devices")


class PilotInFull(Pilot):
    """One pilot with what its kind observes, derives and shows."""

    kind_description: dict[str, Any] | None = Field(
        description="written by the analytics service at start; null: no kind, or never started"
    )


Shown = TypeVar("Shown", bound=Pilot)


class Pilots(Listing[Pilot]):
    """Pilots in the order in which they were added."""


router = Router(tags=["pilots"])


async def pilots(
    connection: AsyncConnection,
    *,
    site_key: str | None = None,
    kind: str | None = None,
    origin: Origin | None = None,
    page: Page = FIRST,
) -> Pilots:
    """Pilots, of one site, kind or origin where given."""
    query = ordered(_select(), pilot.c.id, page)
    for column, value in ((site.c.key, site_key), (pilot.c.kind, kind), (pilot.c.origin, origin)):
        if value is not None:
            query = query.where(column == value)
    rows, following = cut((await connection.execute(query)).all(), page, lambda row: (row.id,))
    return Pilots(items=[Pilot.model_validate(_named(row)) for row in rows], next=following)


async def find_pilot(connection: AsyncConnection, pilot_id: int) -> PilotInFull:
    """One pilot by id; raises NotFound."""
    query = (
        _select()
        .add_columns(pilot_kind.c.description.label("kind_description"))
        .outerjoin(pilot_kind, pilot_kind.c.kind == pilot.c.kind)
        .where(pilot.c.id == pilot_id)
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound(f"no pilot {pilot_id}")
    return PilotInFull.model_validate(_named(row))


def _select() -> Select[Any]:
    devices = select(func.count()).where(device.c.pilot_id == pilot.c.id).scalar_subquery()
    return (
        select(
            *(pilot.c[name] for name in ("id", "key", "service", "kind", "phase", "origin")),
            pilot.c.params,
            site.c.key.label("site"),
            devices.label("devices"),
        )
        .select_from(pilot)
        .join(site, site.c.id == pilot.c.site_id)
    )


def _without(found: Shown, visit: Visit) -> Shown:
    """A pilot without its params for whoever sees no devices, which they name."""
    seen = visit.may("device:read", found.site)
    return found if seen else found.model_copy(update={"params": {}})


def _named(row: Row[Any]) -> dict[str, Any]:
    known = catalogue.service(row.service)
    return {**row._mapping, "service_name": known["name"] if known else None}


@router.get("/pilots", summary="Pilots", dependencies=[needs("pilot:read")])
async def _list(
    visit: Visitor,
    page: ById,
    site: SiteKey = None,
    kind: Word = None,
    origin: OriginFilter = None,
) -> Pilots:
    found = await pilots(visit.connection, site_key=site, kind=kind, origin=origin, page=page)
    return Pilots(items=[_without(each, visit) for each in found.items], next=found.next)


@router.get(
    "/pilots/{pilot}", summary="One pilot", responses=MISSING, dependencies=[needs("pilot:read")]
)
async def _one(visit: Visitor, pilot: Id) -> PilotInFull:
    return _without(await find_pilot(visit.connection, pilot), visit)
