"""What people did about findings: acknowledged, closed, reopened; nothing is ever overwritten."""

from collections.abc import Collection
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import Field, StringConstraints
from sqlalchemy import Row, Select, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api import handling
from services.api.access.guard import Router, needs
from services.api.access.visit import Visit
from services.api.deps import BigId, ById, Db, Visitor
from services.api.handling import STATE_AFTER, State
from services.api.listing import Listing, Payload, cut, ordered
from services.api.problem import GARBLED, MISSING, TAKEN, Conflict, NotFound
from shared.db.tables import finding, finding_action, pilot

# Lines without control characters.
Note = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, max_length=2000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f]*$"
    ),
]


class Act(Payload):
    """What to do about a finding."""

    action: handling.Action
    note: Note = Field(default="", description="why, what was seen; empty: none")


class Action(Payload):
    """One action as it was recorded; never changed afterwards."""

    id: int
    finding_id: int
    action: handling.Action
    state: State = Field(description="how the finding stood after it")
    at: datetime
    by: str = Field(examples=["duty operator"])
    note: str | None = Field(examples=["Seen on site, pump is running"])


class Actions(Listing[Action]):
    """Actions on one finding, the oldest first."""


router = Router(tags=["findings"])


async def actions_of(
    connection: AsyncConnection, finding_ids: Collection[int]
) -> dict[int, list[Action]]:
    """Every action on each of some findings, the oldest first."""
    found: dict[int, list[Action]] = {number: [] for number in finding_ids}
    rows = await connection.execute(
        _select().where(finding_action.c.finding_id.in_(finding_ids)).order_by(finding_action.c.id)
    )
    for row in rows:
        found[row.finding_id].append(_action(row))
    return found


async def act(visit: Visit, finding_id: int, asked: Act) -> Action:
    """Record one action; raises NotFound, or Conflict when the finding stands otherwise."""
    connection = visit.connection
    # Locked, so that of two people who press at once the second is told.
    known = select(pilot.c.site_id).join(finding, finding.c.pilot_id == pilot.c.id)
    held = known.where(finding.c.id == finding_id).with_for_update(key_share=True, of=finding)
    site_id = await connection.scalar(held)
    if site_id is None:
        raise NotFound(f"no finding {finding_id}")
    now = select(handling.state()).where(finding.c.id == finding_id)
    state: State = (await connection.execute(now)).scalar_one()
    if asked.action not in handling.ALLOWED[state]:
        raise Conflict(f"finding {finding_id} is {state}: {asked.action} does not apply")
    values = {"action": asked.action, "note": asked.note or None, "by": visit.actor.name}
    made = insert(finding_action).values(**values, finding_id=finding_id).returning(finding_action)
    row = (await connection.execute(made)).one()
    await visit.record(
        "create",
        f"finding/{finding_id}/actions",
        site_id=site_id,
        changed=tuple(values),
        values={"action": asked.action},  # a note is free text: who knows whom it names
    )
    return _action(row)


def _select() -> Select[Any]:
    return select(finding_action)


def _action(row: Row[Any]) -> Action:
    return Action.model_validate({**row._mapping, "state": STATE_AFTER[row.action]})


@router.get(
    "/findings/{finding}/actions",
    summary="What was done about it",
    responses=MISSING,
    dependencies=[needs("finding:read")],
)
async def _list(connection: Db, finding: BigId, page: ById) -> Actions:
    await _require(connection, finding)
    query = ordered(_select(), finding_action.c.id, page)
    query = query.where(finding_action.c.finding_id == finding)
    rows, following = cut((await connection.execute(query)).all(), page, lambda row: (row.id,))
    return Actions(items=[_action(row) for row in rows], next=following)


async def _require(connection: AsyncConnection, finding_id: int) -> None:
    if await connection.scalar(select(finding.c.id).where(finding.c.id == finding_id)) is None:
        raise NotFound(f"no finding {finding_id}")


@router.post(
    "/findings/{finding}/actions",
    summary="Acknowledge, close or reopen a finding",
    description="Who did it is whose key or session asks.",
    status_code=HTTPStatus.CREATED,
    dependencies=[needs("finding:act")],
    responses={**GARBLED, **MISSING, **TAKEN},
)
async def _act(visit: Visitor, finding: BigId, asked: Act) -> Action:
    return await act(visit, finding, asked)
