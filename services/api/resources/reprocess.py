"""Asking to decode raw messages again, after a profile or a decoder was corrected."""

from http import HTTPStatus
from typing import Annotated, Literal

from pydantic import Field

from services.api.access.guard import Router, needs
from services.api.access.visit import Visit
from services.api.asked import Task, ask, site_of
from services.api.deps import Moment, Visitor
from services.api.listing import Payload
from services.api.problem import GARBLED, MISSING

KeyText = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]{0,62}$")]


class Reprocess(Payload):
    """Whose raw messages to decode again, and of which time; a device or a profile."""

    site: KeyText | None = Field(default=None, description="null: your only one, or every site")
    of: Literal["device", "profile"] = Field(description="one device, or all of a profile")
    key: KeyText = Field(examples=["gauge-1"])
    start: Moment | None = Field(default=None, alias="from", description="observed, inclusive")
    end: Moment | None = Field(default=None, alias="to", description="observed, exclusive")
    dry_run: bool = Field(default=False, description="tell what would change")


router = Router(tags=["tasks"])


async def reprocess(visit: Visit, asked: Reprocess) -> Task:
    """Ask ingest to decode again; raises NotFound for a site."""
    args = {
        **{"device": None, "profile": None, asked.of: asked.key, "dry_run": asked.dry_run},
        "from": asked.start.isoformat() if asked.start else None,
        "to": asked.end.isoformat() if asked.end else None,
    }
    return await ask(visit, "reprocess", args, await site_of(visit, asked.site))


@router.post(
    "/reprocess",
    summary="Decode raw messages again",
    description="""Ingest puts the kept raw messages through today's pipeline; readings that come
    out otherwise are replaced, and what they replace is kept beside them. Follow the task.""",
    status_code=HTTPStatus.CREATED,
    responses={**GARBLED, **MISSING},
    dependencies=[needs("reading:reprocess")],
)
async def _reprocess(visit: Visitor, asked: Reprocess) -> Task:
    return await reprocess(visit, asked)
