"""Outcome metrics: whether a pilot worked, with interval, state and version."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field
from sqlalchemy import Select, and_, exists, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.access.guard import Router, needs
from services.api.deps import ByTimeAndId, Db, PilotKey, SiteKey, Word
from services.api.listing import FIRST, Listing, Page, Payload, cut, from_micros, micros
from shared.db.tables import metric_definition, metric_value, pilot, site
from shared.domain.place import Origin

Versions = Literal["latest", "all"]


class Outcome(Payload):
    """One metric over one half-open window [from, to), UTC. value null: see reason."""

    metric: str = Field(examples=["P1-02"])
    def_version: int = Field(description="version of the definition")
    version: int = Field(description="revision of this value; late data makes a new one")
    site: str = Field(examples=["cibinong"])
    pilot: str = Field(examples=["flood"])
    pilot_id: int
    phase: int
    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    as_of: datetime = Field(description="when it was computed")
    numerator: float | None
    denominator: float | None
    n: int = Field(description="number of units that the value rests on")
    value: float | None
    unit: str | None = Field(description="null: the definition names none", examples=["1"])
    ci_low: float | None
    ci_high: float | None
    method: str | None = Field(description="how the interval was computed")
    coverage: float | None = Field(description="share of the wanted data that was there, 0 to 1")
    state: Literal["pass", "provisional", "fail", "insufficient"]
    reason: str | None
    origin: Origin
    input_digest: str = Field(description="equal digests: computed from equal inputs")
    definition: dict[str, Any] | None = Field(description="as the analytics service describes it")


class Outcomes(Listing[Outcome]):
    """Outcome metrics, the newest window first."""


router = Router(tags=["outcomes"])


async def outcomes(
    connection: AsyncConnection,
    *,
    site_key: str | None = None,
    pilot_key: str | None = None,
    metric: str | None = None,
    versions: Versions = "latest",
    page: Page = FIRST,
) -> Outcomes:
    """Metric values: the latest version of each window, or all of them."""
    wanted = ((site.c.key, site_key), (pilot.c.key, pilot_key), (metric_value.c.metric, metric))
    query = _select().where(*(column == value for column, value in wanted if value is not None))
    if versions == "latest":
        query = query.where(~_newer())
    if page.after:
        place = (from_micros(page.after[0]), page.after[1])
        query = query.where(tuple_(metric_value.c.to, metric_value.c.id) < tuple_(*place))
    newest_first = query.order_by(metric_value.c.to.desc(), metric_value.c.id.desc())
    fetched = (await connection.execute(newest_first.limit(page.limit + 1))).all()
    rows, following = cut(fetched, page, lambda row: (micros(row.to), row.id))
    return Outcomes(
        items=[Outcome.model_validate(dict(row._mapping)) for row in rows], next=following
    )


def _newer() -> Any:
    """A later version of the same metric, pilot and window."""
    later = metric_value.alias("later")
    same = ("pilot_id", "metric", "from", "to")
    return exists().where(
        *(later.c[name] == metric_value.c[name] for name in same),
        tuple_(later.c.def_version, later.c.version)
        > tuple_(metric_value.c.def_version, metric_value.c.version),
    )


def _select() -> Select[Any]:
    defined = and_(
        metric_definition.c.metric == metric_value.c.metric,
        metric_definition.c.def_version == metric_value.c.def_version,
    )
    return (
        select(
            metric_value,
            site.c.key.label("site"),
            pilot.c.key.label("pilot"),
            metric_definition.c.description.label("definition"),
            metric_definition.c.description["unit"].astext.label("unit"),
        )
        .join(pilot, pilot.c.id == metric_value.c.pilot_id)
        .join(site, site.c.id == pilot.c.site_id)
        .outerjoin(metric_definition, defined)
    )


@router.get("/outcomes", summary="Outcome metrics", dependencies=[needs("outcome:read")])
async def _list(
    connection: Db,
    page: ByTimeAndId,
    site: SiteKey = None,
    pilot: PilotKey = None,
    metric: Word = None,
    versions: Versions = "latest",
) -> Outcomes:
    return await outcomes(
        connection,
        site_key=site,
        pilot_key=pilot,
        metric=metric,
        versions=versions,
        page=page,
    )
