"""Refusals of every device and of none, with their bytes; and asking to take them in after all."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import Field

from services.api.access.guard import Router, needs
from services.api.access.visit import Visit
from services.api.asked import Task, ask, site_of
from services.api.deps import (
    ByTimeAndUuid,
    DeviceKey,
    Moment,
    SiteKey,
    SourceKey,
    TimeRange,
    Visitor,
    Word,
)
from services.api.listing import Payload
from services.api.problem import GARBLED, MISSING
from services.api.refusals import (
    Chosen,
    Refusals,
    Scope,
    WholeRefusal,
    find_refusal,
    refusals,
)

MOST: int = 100_000
KeyText = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]{0,62}$")]
About = Annotated[
    str | None,
    Query(max_length=200, description="text in topic or detail, such as an EUI", min_length=1),
]


class Redrive(Payload):
    """Which whole messages to put through today's pipeline; all conditions hold at once."""

    site: KeyText | None = Field(default=None, description="null: every site, for who sees all")
    reject_ids: list[UUID] | None = Field(default=None, min_length=1, max_length=1000)
    reason: str | None = Field(default=None, pattern="^[a-z_]{1,60}$", examples=["unknown_device"])
    source: KeyText | None = None
    device: KeyText | None = None
    start: Moment | None = Field(default=None, alias="from", description="received, inclusive")
    end: Moment | None = Field(default=None, alias="to", description="received, exclusive")
    limit: int = Field(default=10_000, ge=1, le=MOST, description="messages at most")
    dry_run: bool = Field(default=False, description="tell what would become of them")


router = Router(tags=["rejects"])


async def redrive(visit: Visit, asked: Redrive) -> Task:
    """Ask ingest to take refusals in after all; raises NotFound for a site."""
    args = {
        "ids": [str(each) for each in asked.reject_ids] if asked.reject_ids else None,
        **{name: getattr(asked, name) for name in ("reason", "source", "device")},
        "from": asked.start.isoformat() if asked.start else None,
        "to": asked.end.isoformat() if asked.end else None,
        **{"limit": asked.limit, "dry_run": asked.dry_run},
    }
    return await ask(visit, "redrive", args, await site_of(visit, asked.site))


@router.get("/rejects", summary="Refusals", dependencies=[needs("reject:read")])
async def _list(
    visit: Visitor,
    page: ByTimeAndUuid,
    span: TimeRange,
    site: SiteKey = None,
    source: SourceKey = None,
    device: DeviceKey = None,
    reason: Word = None,
    scope: Scope | None = None,
    about: About = None,
) -> Refusals:
    await visit.record("read", "reject")
    texts = (about.replace("\0", " "),) if about else ()
    chosen = Chosen(site, source, device, None, reason, scope, texts, span)
    return await refusals(visit.connection, chosen, page=page)


@router.get(
    "/rejects/{reject}",
    summary="One refusal with its bytes",
    responses=MISSING,
    dependencies=[needs("reject:read")],
)
async def _one(visit: Visitor, reject: UUID) -> WholeRefusal:
    await visit.record("read", f"reject/{reject}")
    return await find_refusal(visit.connection, str(reject))


@router.post(
    "/redrive",
    summary="Take refusals in after all",
    description="""Refused messages are kept for 30 days. After what was wrong is mended (a device
    registered, a clock rule, an adapter), ingest puts them through today's pipeline as of the time
    they were received; what is refused again stays, under its new reason. Follow the task.""",
    status_code=HTTPStatus.CREATED,
    responses={**GARBLED, **MISSING},
    dependencies=[needs("reject:redrive")],
)
async def _redrive(visit: Visitor, asked: Redrive) -> Task:
    return await redrive(visit, asked)
