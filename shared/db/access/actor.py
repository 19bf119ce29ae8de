"""Who asks: what a key or a session token stands for, with grants, scopes and end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, Select, select, update

from shared.db.access.principals import grants_of
from shared.db.access.token import digest
from shared.db.tables import api_key, principal, session, site
from shared.domain.permission import PERMISSIONS, Grant, covers, opened

SEEN_EVERY: Final = timedelta(seconds=60)  # how precisely the last use is remembered


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who asks. principal_id None: nobody in particular.

    scopes, site_ids: what narrows a key, None where nothing does; ends_at: when key or session
    end by themselves; seen_at: last use, as far as it was written down.
    """

    principal_id: int | None
    name: str
    via: Literal["key", "session", "nobody"]
    grants: tuple[Grant, ...]
    scopes: tuple[str, ...] | None = None
    site_ids: frozenset[int] | None = None
    ends_at: datetime | None = None
    seen_at: datetime | None = None
    prefix: str | None = None
    places: Mapping[int, str] = field(default_factory=dict)  # keys of the sites named above

    def sites(self, permission: str) -> frozenset[int] | None:
        """Ids of sites where this actor may use a permission; None: everywhere; empty: nowhere."""
        if PERMISSIONS[permission].person and self.via != "session":
            return frozenset()
        if self.scopes is not None and not covers(self.scopes, permission):
            return frozenset()
        by_grants = opened(self.grants, permission)
        if self.site_ids is None:
            return by_grants
        if PERMISSIONS[permission].everywhere:
            return frozenset()
        return self.site_ids if by_grants is None else by_grants & self.site_ids

    def may(self, permission: str) -> bool:
        """Whether it may be used at any site."""
        return self.sites(permission) != frozenset()

    def with_grant(self, grant: Grant) -> "Actor":
        """The same with one grant more."""
        return replace(self, grants=(*self.grants, grant))

    def __str__(self) -> str:
        """As the audit names it."""
        if self.via == "nobody":
            return self.name
        return f"key:{self.prefix} ({self.name})" if self.via == "key" else f"user:{self.name}"


def by_key(connection: Connection, text: str) -> Actor | None:
    """Whose key it is, or None when it is unknown, revoked, or its owner is shut out."""
    row = connection.execute(
        _select(api_key, api_key.c.digest == digest(text), api_key.c.revoked_at.is_(None))
    ).one_or_none()
    return None if row is None else _of_key(connection, row)


def keys(connection: Connection) -> dict[bytes, Actor]:
    """Every key that is in force, by its digest: for who must know them without the database."""
    rows = connection.execute(_select(api_key, api_key.c.revoked_at.is_(None))).all()
    return {bytes(row.digest): _of_key(connection, row) for row in rows}


def by_session(
    connection: Connection, token: str, *, idle: timedelta, absolute: timedelta
) -> Actor | None:
    """Whose session it is, or None when it is unknown or its owner is shut out."""
    row = connection.execute(_select(session, session.c.digest == digest(token))).one_or_none()
    if row is None:
        return None
    return Actor(
        **_owner(connection, row, ()),
        via="session",
        ends_at=min(row.seen_at + idle, row.created_at + absolute),
        seen_at=row.seen_at,
    )


def seen(connection: Connection, actor: Actor, token: str, now: datetime) -> None:
    """Write down that a key or session was used."""
    if actor.via == "key":
        mine = api_key.c.digest == digest(token)
        connection.execute(update(api_key).where(mine).values(last_used_at=now))
    else:
        mine = session.c.digest == digest(token)
        connection.execute(update(session).where(mine).values(seen_at=now))


def _of_key(connection: Connection, row: Row[Any]) -> Actor:
    return Actor(
        **_owner(connection, row, row.site_ids or ()),
        via="key",
        scopes=tuple(row.scopes),
        site_ids=None if row.site_ids is None else frozenset(row.site_ids),
        ends_at=row.expires_at,
        seen_at=row.last_used_at,
        prefix=row.prefix,
    )


def _select(table: Any, *conditions: Any) -> Select[Any]:
    return (
        select(table, principal.c.name.label("owner"))
        .join(principal, principal.c.id == table.c.principal_id)
        .where(*conditions, principal.c.disabled_at.is_(None))
    )


def _owner(connection: Connection, row: Row[Any], site_ids: Sequence[int]) -> dict[str, Any]:
    """What an actor has of its principal, and the keys of all sites named."""
    grants = grants_of(connection, [row.principal_id])[row.principal_id]
    named = {grant.site_id: grant.site for grant in grants if grant.site_id and grant.site}
    if site_ids:
        others = select(site.c.id, site.c.key).where(site.c.id.in_(site_ids))
        named |= {number: key for number, key in connection.execute(others)}
    return {
        "principal_id": row.principal_id,
        "name": row.owner,
        "grants": grants,
        "places": named,
    }
