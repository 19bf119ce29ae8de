"""The audit: who did what, when, from where and why; looking at it is written down as well."""

import csv
from datetime import datetime
from io import StringIO
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Query, Request
from fastapi.responses import Response
from pydantic import Field

from services.api.access.guard import Router, needs
from services.api.access.visit import Visit
from services.api.deps import NUMBER, TimeRange, Visitor, paged
from services.api.listing import ALWAYS, FIRST, Listing, Page, Payload, Range, cut
from services.api.problem import Responses
from shared.db import audit

Words = Annotated[str | None, Query(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")]


class Recorded(Payload):
    """One entry; `at` in UTC. Only what is sealed is part of the chain of hashes."""

    id: int
    seq: int | None = Field(description="place in the chain; null: not sealed yet")
    at: datetime
    actor: str = Field(examples=["user:dewi"])
    action: str = Field(examples=["create"])
    object: str = Field(examples=["finding/17/actions"])
    site_id: int | None = Field(description="null: of no one site")
    address: str | None = Field(description="null: at a shell of the platform itself")
    why: str | None = Field(description="null: no reason was given (X-Reason)")
    outcome: str = Field(description="done, refused or failed")
    changed: list[str] = Field(description="names of the fields that were changed")
    values: dict[str, Any] = Field(description="of those that are not personal")


class Audit(Listing[Recorded]):
    """Entries, the newest first."""


router = Router(tags=["audit"])
_FIELDS: Final = [*Recorded.model_fields]
_CSV: Final[Responses] = {
    200: {
        "description": "`format=csv`: the same columns; RFC 4180",
        "content": {"text/csv": {"schema": {"type": "string"}}},
        "headers": {
            "Link": {
                "description": "`format=csv`: the next page, absent on the last",
                "schema": {"type": "string"},
            }
        },
    }
}


async def entries(
    visit: Visit,
    *,
    actor: str | None = None,
    action: str | None = None,
    about: str | None = None,
    span: Range = ALWAYS,
    page: Page = FIRST,
) -> Audit:
    """Entries of one actor, action or kind of object where given; that they were read is told."""
    await visit.record("read", "audit", values={"actor": actor, "action": action, "object": about})
    fetched = await audit.entries(
        visit.connection,
        actor=actor,
        action=action,
        object_prefix=about,
        start=span.start,
        end=span.end,
        after=page.after[0] if page.after else None,
        limit=page.limit + 1,
    )
    rows, following = cut(fetched, page, lambda row: (row.id,))
    return Audit(items=[Recorded.model_validate(each) for each in rows], next=following)


def as_csv(found: Audit) -> str:
    """One line an entry; what a spreadsheet would run as a formula is kept from being one."""
    out = StringIO()
    writer = csv.DictWriter(out, _FIELDS, lineterminator="\r\n")
    writer.writeheader()
    for item in found.items:
        told = item.model_dump(mode="json")
        writer.writerow({name: _plain(value) for name, value in told.items()})
    return out.getvalue()


def _plain(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" else value


@router.get(
    "/audit",
    summary="The audit",
    dependencies=[needs("audit:read")],
    response_model=Audit,
    responses=_CSV,
)
async def _list(
    request: Request,
    visit: Visitor,
    page: Annotated[Page, Depends(paged(NUMBER, default=100, most=10_000))],
    span: TimeRange,
    actor: Words = None,
    action: Words = None,
    object: Words = None,
    format: Literal["json", "csv"] = "json",
) -> Audit | Response:
    found = await entries(visit, actor=actor, action=action, about=object, span=span, page=page)
    if format == "json":
        return found
    links = {"Link": f'<{request.url.include_query_params(cursor=found.next)}>; rel="next"'}
    return Response(
        as_csv(found),
        media_type="text/csv; charset=utf-8",
        headers=links if found.next else {},
    )
