"""Tasks that the API asks of other services: it never does their work itself."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from fastapi.exceptions import RequestValidationError
from pydantic import Field
from sqlalchemy import select

from services.api.access.visit import Visit
from services.api.listing import Listing, Payload
from services.api.problem import NotFound
from shared.db import task as tasks
from shared.db.tables import site as site_table


class Task(Payload):
    """Something a service was asked to do; times in UTC."""

    id: int
    kind: str = Field(examples=["redrive"])
    args: dict[str, Any] = Field(examples=[{"reason": "unknown_device", "limit": 10_000}])
    state: Literal["waiting", "running", "done", "failed"]
    result: dict[str, Any] | None = Field(
        description="what came of it, or `error`; null: not finished",
        examples=[{"handled": 3, "stored": 2, "repeats": 0, "refused": {"bad_clock": 1}}],
    )
    progress: dict[str, Any] = Field(description="how far it is")
    site: str | None = Field(description="null: of every site", examples=["cibinong"])
    requested_by: str | None = Field(examples=["dewi"])
    requested_at: datetime
    finished_at: datetime | None


class Tasks(Listing[Task]):
    """Tasks, the newest first."""


async def site_of(visit: Visit, key: str | None) -> int | None:
    """The id of the site that is meant; None: every one. Raises NotFound, and
    RequestValidationError for somebody who has to say which."""
    if key is not None:
        found: int | None = await visit.connection.scalar(
            select(site_table.c.id).where(site_table.c.key == key)
        )
        if found is None:
            raise NotFound(f"no site {key!r}")
        return found
    if visit.sites is None:
        return None
    if len(visit.sites) == 1:
        return next(iter(visit.sites))
    told = "name one of your sites: this is done at one of them at a time"
    raise RequestValidationError([{"type": "missing", "loc": ("body", "site"), "msg": told}])


async def ask(visit: Visit, kind: str, args: Mapping[str, Any], site_id: int | None) -> Task:
    """Ask for it in the request's own transaction, and tell the audit."""
    made = await visit.connection.run_sync(
        tasks.ask, kind, args, site_id=site_id, requested_by=visit.actor.name
    )
    await visit.record(
        "create",
        f"task/{made.id}",
        site_id=site_id,
        changed=("kind", "args"),
        values={"kind": kind},
    )
    return Task.model_validate(made)
