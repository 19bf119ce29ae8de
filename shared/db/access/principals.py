"""People and machines with their grants."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from shared.db.access import AccessRefused, changed
from shared.db.tables import principal, role_grant, session, sign_in_link, site
from shared.domain.permission import GRANTED, Grant, Role

_NOW: Final = func.now()
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who may ask. machine: has keys and cannot sign in; times in UTC."""

    id: int
    name: str
    machine: bool
    created_at: datetime
    disabled_at: datetime | None
    password_at: datetime | None
    grants: tuple[Grant, ...]


def add(
    connection: Connection, name: str, grants: Sequence[Grant], *, machine: bool = False
) -> Principal:
    """Add somebody with their grants; raises AccessRefused."""
    if _NAME.fullmatch(name) is None:
        raise AccessRefused(f"{name!r} is no name: lower-case letters, digits and . _ @ -")
    if not grants:
        raise AccessRefused(f"{name}: give a role: {', '.join(GRANTED)}")
    if connection.scalar(select(principal.c.id).where(principal.c.name == name)):
        raise AccessRefused(f"there is a {name!r} already: choose another name")
    made = insert(principal).values(name=name, machine=machine).returning(principal.c.id)
    number = connection.execute(made).scalar_one()
    set_grants(connection, number, grants)
    return find(connection, name)


def set_grants(connection: Connection, principal_id: int, grants: Iterable[Grant]) -> None:
    """Make these the grants of a principal, in place of those it had."""
    connection.execute(delete(role_grant).where(role_grant.c.principal_id == principal_id))
    for grant in dict.fromkeys(grants):
        values = {"role": grant.role, "site_id": grant.site_id, "principal_id": principal_id}
        connection.execute(insert(role_grant).values(**values))
    changed(connection)


def grants_at(connection: Connection, roles: Iterable[Role], sites: Iterable[str]) -> list[Grant]:
    """Each role at each of these sites, without any at all of them; raises AccessRefused."""
    known = _site_ids(connection, [*sites])
    if not known:
        return [Grant(role) for role in roles]
    return [Grant(role, number, key) for role in roles for key, number in known.items()]


def site_ids(connection: Connection, keys: Sequence[str] | None) -> list[int] | None:
    """Ids of sites by their keys; None: not narrowed to any. Raises AccessRefused."""
    if keys is None:
        return None
    return [*_site_ids(connection, keys).values()]


def find(connection: Connection, name: str) -> Principal:
    """A principal by name; raises AccessRefused."""
    row = connection.execute(select(principal).where(principal.c.name == name)).one_or_none()
    if row is None:
        raise AccessRefused(f"there is no {name!r}: see `lab user list`")
    return _made(row, grants_of(connection, [row.id]))


def listed(connection: Connection) -> list[Principal]:
    """Everybody, by name."""
    rows = connection.execute(select(principal).order_by(principal.c.name)).all()
    grants = grants_of(connection, [row.id for row in rows])
    return [_made(row, grants) for row in rows]


def grants_of(connection: Connection, principal_ids: Iterable[int]) -> dict[int, tuple[Grant, ...]]:
    """The grants of each of some principals."""
    found: dict[int, tuple[Grant, ...]] = {number: () for number in principal_ids}
    query = (
        select(role_grant.c.principal_id, role_grant.c.role, role_grant.c.site_id, site.c.key)
        .outerjoin(site, site.c.id == role_grant.c.site_id)
        .where(role_grant.c.principal_id.in_(found))
        .order_by(role_grant.c.id)
    )
    for number, role, site_id, key in connection.execute(query):
        found[number] = (*found[number], Grant(role, site_id, key))
    return found


def set_password(connection: Connection, principal_id: int, stored: str) -> None:
    """Set what `shared.password.hashed` made, and end every session and link."""
    values = {"password": stored, "password_at": _NOW}
    mine = principal.c.id == principal_id
    connection.execute(update(principal).where(mine, ~principal.c.machine).values(**values))
    shut_out(connection, principal_id)


def set_disabled(connection: Connection, principal_id: int, *, disabled: bool) -> None:
    """Shut somebody out, at once and everywhere, or let them in again."""
    values = {"disabled_at": _NOW if disabled else None}
    connection.execute(update(principal).where(principal.c.id == principal_id).values(**values))
    shut_out(connection, principal_id)


def shut_out(connection: Connection, principal_id: int) -> None:
    """End every session and link of a principal."""
    for table in (session, sign_in_link):
        connection.execute(delete(table).where(table.c.principal_id == principal_id))
    changed(connection)


def _site_ids(connection: Connection, keys: Sequence[str]) -> dict[str, int]:
    """Key → id of each of these sites, in their order; raises AccessRefused for an unknown one."""
    found = connection.execute(select(site.c.key, site.c.id).where(site.c.key.in_(keys)))
    known = {key: number for key, number in found}
    for key in keys:
        if key not in known:
            raise AccessRefused(f"no site {key!r}: `lab site apply` adds one")
    return {key: known[key] for key in keys}


def _made(row: Row[Any], grants: dict[int, tuple[Grant, ...]]) -> Principal:
    shown = {name: getattr(row, name) for name in Principal.__slots__ if name != "grants"}
    return Principal(**shown, grants=grants[row.id])
