"""What people did about findings: acknowledged, closed, reopened; nothing is ever overwritten."""

from collections.abc import Collection
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import Field, StringConstraints
from sqlalchemy import Row, Select, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api import handling
from services.api.deps import BigId, ById, Db
from services.api.handling import STATE_AFTER, State
from services.api.listing import Listing, Payload, cut, ordered
from services.api.problem import FORBIDDEN, GARBLED, MISSING, TAKEN, Conflict, NotFound
from services.api.writing import Transaction, may_write
from shared.db.tables import finding, finding_action

# One line with something in it, and lines; neither holds control characters.
Line = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, max_length=80, pattern=r"^[^\x00-\x1f]*[^\s\x00-\x1f][^\x00-\x1f]*$"
    ),
]
Note = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, max_length=2000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f]*$"
    ),
]


class Act(Payload):
    """What to do about a finding, and who does it."""

    action: handling.Action
    by: Line = Field(description="who; not checked until there is access control")
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


router = APIRouter(tags=["findings"])


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


async def act(connection: AsyncConnection, finding_id: int, asked: Act) -> Action:
    """Record one action; raises NotFound, or Conflict when the finding stands otherwise."""
    # Locked, so that of two people who press at once the second is told.
    known = select(finding.c.id).where(finding.c.id == finding_id)
    if await connection.scalar(known.with_for_update(key_share=True)) is None:
        raise NotFound(f"no finding {finding_id}")
    now = select(handling.state()).where(finding.c.id == finding_id)
    state: State = (await connection.execute(now)).scalar_one()
    if asked.action not in handling.ALLOWED[state]:
        raise Conflict(f"finding {finding_id} is {state}: {asked.action} does not apply")
    values = {**asked.model_dump(), "note": asked.note or None, "finding_id": finding_id}
    made = insert(finding_action).values(**values).returning(finding_action)
    return _action((await connection.execute(made)).one())


def _select() -> Select[Any]:
    return select(finding_action)


def _action(row: Row[Any]) -> Action:
    return Action.model_validate({**row._mapping, "state": STATE_AFTER[row.action]})


@router.get("/findings/{finding}/actions", summary="What was done about it", responses=MISSING)
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
    description="Off unless LAB_API_FINDING_ACTIONS says so.",
    status_code=HTTPStatus.CREATED,
    dependencies=[Depends(may_write)],
    responses={**GARBLED, **FORBIDDEN, **MISSING, **TAKEN},
)
async def _act(connection: Transaction, finding: BigId, asked: Act) -> Action:
    return await act(connection, finding, asked)
