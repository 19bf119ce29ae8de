"""Asking to decode raw messages again, after a profile or a decoder was corrected."""

from http import HTTPStatus
from typing import Annotated, Self

from pydantic import Field, model_validator

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
    device: KeyText | None = Field(default=None, examples=["gauge-1"])
    profile: KeyText | None = None
    start: Moment | None = Field(default=None, alias="from", description="observed, inclusive")
    end: Moment | None = Field(default=None, alias="to", description="observed, exclusive")
    dry_run: bool = Field(default=False, description="tell what would change")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.device is None) == (self.profile is None):
            raise ValueError("give a device or a profile")
        return self


router = Router(tags=["tasks"])


async def reprocess(visit: Visit, asked: Reprocess) -> Task:
    """Ask ingest to decode again; raises NotFound for a site."""
    args = {
        **{"device": asked.device, "profile": asked.profile, "dry_run": asked.dry_run},
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
