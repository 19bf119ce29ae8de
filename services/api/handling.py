"""What people did about a finding: the newest action says how it stands."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, case, select

from shared.db.tables import finding, finding_action

Action = Literal["acknowledge", "close", "reopen"]
State = Literal["open", "acknowledged", "closed"]
OPEN: Final[State] = "open"
STATE_AFTER: Final[Mapping[Action, State]] = {
    "acknowledge": "acknowledged",
    "close": "closed",
    "reopen": "open",
}
ALLOWED: Final[Mapping[State, tuple[Action, ...]]] = {
    "open": ("acknowledge", "close"),
    "acknowledged": ("close", "reopen"),
    "closed": ("reopen",),
}


def state() -> ColumnElement[Any]:
    """The state of each `finding` of the query around it."""
    newest = (
        select(case(STATE_AFTER, value=finding_action.c.action))
        .where(finding_action.c.finding_id == finding.c.id)
        .order_by(finding_action.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return case((newest.is_(None), OPEN), else_=newest)
