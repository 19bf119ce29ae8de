"""Asking another service to do something: the row it will find, and how it stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, text

from shared.db.tables import site, task

CHANNEL: Final = "task"  # NOTIFY without a payload: there is something to do
ENDED: Final = ("done", "failed")


@dataclass(frozen=True, slots=True)
class Asked:
    """A task as it stands. result: what came of it, or `error`; progress: how far it is."""

    id: int
    kind: str
    args: Mapping[str, Any]
    state: str
    result: Mapping[str, Any] | None
    requested_by: str | None
    requested_at: datetime
    site: str | None
    progress: Mapping[str, Any]
    finished_at: datetime | None


def ask(
    connection: Connection,
    kind: str,
    args: Mapping[str, Any],
    *,
    site_id: int | None,
    requested_by: str,
) -> Asked:
    """Write down a task inside the caller's transaction, and tell whoever does such things."""
    values = {"kind": kind, "args": args, "site_id": site_id, "requested_by": requested_by}
    made = connection.scalar(insert(task).values(**values).returning(task.c.id))
    connection.execute(text(f"SELECT pg_notify('{CHANNEL}', '')"))
    found = find(connection, made or 0)
    assert found is not None
    return found


def find(connection: Connection, task_id: int) -> Asked | None:
    """One task, or None."""
    row = connection.execute(_selected().where(task.c.id == task_id)).one_or_none()
    return _asked(row) if row else None


def newest(connection: Connection, *, limit: int, after: int | None = None) -> list[Asked]:
    """Tasks, the newest first, those below the id `after`."""
    query = _selected().order_by(task.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(task.c.id < min(after, 2**31 - 1))
    return [_asked(row) for row in connection.execute(query)]


def _selected() -> Any:
    columns = [column for column in task.c if column.name != "site_id"]
    return select(*columns, site.c.key.label("site")).outerjoin(site, site.c.id == task.c.site_id)


def _asked(row: Row[Any]) -> Asked:
    return Asked(**row._mapping)
