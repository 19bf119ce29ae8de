"""API keys: shown once, stored hashed, narrowed by scopes and sites, and always with an end."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, insert, select, update

from shared.db.access import AccessRefused, changed
from shared.db.access.token import digest, new_key
from shared.db.tables import api_key, principal, site
from shared.domain.permission import fault

LONGEST: Final = timedelta(days=730)
OVERLAP: Final = timedelta(hours=24)  # for which a replaced key goes on


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret. sites None: wherever its owner may; times in UTC."""

    id: int
    owner: str
    name: str
    prefix: str
    scopes: tuple[str, ...]
    sites: tuple[str, ...] | None
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    replaces: int | None


@dataclass(frozen=True, slots=True)
class Made:
    """A new key: `text` is never to be had again."""

    key: ApiKey
    text: str


def create(
    connection: Connection,
    principal_id: int,
    name: str,
    scopes: Sequence[str],
    *,
    now: datetime,
    lifetime: timedelta,
    site_ids: Collection[int] | None = None,
    replaces: int | None = None,
) -> Made:
    """Make a key; raises AccessRefused."""
    if not timedelta() < lifetime <= LONGEST:
        raise AccessRefused(f"a key lasts longer than nothing and at most {LONGEST.days} days")
    if not scopes:
        raise AccessRefused("a key needs a scope, such as *:read")
    for why in filter(None, map(fault, scopes)):
        raise AccessRefused(why)
    token = new_key()
    values = {
        "principal_id": principal_id,
        "name": name,
        "prefix": token.prefix,
        "digest": digest(token.text),
        "scopes": [*dict.fromkeys(scopes)],
        "site_ids": None if site_ids is None else sorted(site_ids),
        "expires_at": now + lifetime,
        "replaces": replaces,
    }
    made = connection.execute(insert(api_key).values(**values).returning(api_key.c.id))
    changed(connection)
    return Made(_one(connection, made.scalar_one()), token.text)


def listed(connection: Connection, principal_id: int | None = None) -> list[ApiKey]:
    """Every key, or those of one principal, the newest first."""
    query = _select().order_by(api_key.c.id.desc())
    if principal_id is not None:
        query = query.where(api_key.c.principal_id == principal_id)
    return [_made(connection, row) for row in connection.execute(query).all()]


def find(connection: Connection, prefix: str, principal_id: int | None = None) -> ApiKey:
    """A key by its prefix, where given of one principal; raises AccessRefused."""
    query = _select().where(api_key.c.prefix == prefix)
    if principal_id is not None:
        query = query.where(api_key.c.principal_id == principal_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise AccessRefused(f"no key {prefix!r}: see `lab key list`")
    return _made(connection, row)


def revoke(connection: Connection, key_id: int, now: datetime) -> None:
    """End a key at once; one that has been ended stays as it was."""
    ended = update(api_key).where(api_key.c.id == key_id, api_key.c.revoked_at.is_(None))
    connection.execute(ended.values(revoked_at=now))
    changed(connection)


def rotate(connection: Connection, key: ApiKey, now: datetime, *, overlap: timedelta) -> Made:
    """A new key like the old one, which goes on for `overlap`; raises AccessRefused."""
    if key.revoked_at or key.expires_at <= now:
        raise AccessRefused(f"key {key.prefix} has ended: create a new one")
    row = connection.execute(select(api_key).where(api_key.c.id == key.id)).one()
    made = create(
        connection,
        row.principal_id,
        row.name,
        row.scopes,
        now=now,
        lifetime=row.expires_at - row.created_at,
        site_ids=row.site_ids,
        replaces=row.id,
    )
    end = min(row.expires_at, now + overlap)
    connection.execute(update(api_key).where(api_key.c.id == row.id).values(expires_at=end))
    return made


def _select() -> Select[Any]:
    owner = principal.c.name.label("owner")
    return select(api_key, owner).join(principal, principal.c.id == api_key.c.principal_id)


def _one(connection: Connection, key_id: int) -> ApiKey:
    return _made(connection, connection.execute(_select().where(api_key.c.id == key_id)).one())


def _made(connection: Connection, row: Row[Any]) -> ApiKey:
    named = select(site.c.key).where(site.c.id.in_(row.site_ids or ())).order_by(site.c.id)
    return ApiKey(
        id=row.id,
        owner=row.owner,
        name=row.name,
        prefix=row.prefix,
        scopes=tuple(row.scopes),
        sites=None if row.site_ids is None else tuple(connection.scalars(named)),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        replaces=row.replaces,
    )
