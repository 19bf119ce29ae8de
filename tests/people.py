"""Somebody with a role, and a key of theirs: what a test asks with."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from secrets import token_hex

from sqlalchemy import Engine

from shared import password as passwords
from shared.db.access import keys, principals
from shared.db.engine import sync_engine
from shared.domain.permission import Role
from shared.settings import Database

PASSWORD = "a quiet river in the rain"


def key_of(
    database: Database,
    role: Role = "admin",
    sites: Sequence[str] = (),
    *,
    name: str | None = None,
    scopes: Sequence[str] = ("*",),
) -> str:
    """A key of somebody new with this role at these sites; without sites, at all of them."""
    engine = sync_engine(database)
    try:
        return add(engine, role, sites, name=name, scopes=scopes)
    finally:
        engine.dispose()


def add(
    engine: Engine,
    role: Role = "admin",
    sites: Sequence[str] = (),
    *,
    name: str | None = None,
    scopes: Sequence[str] = ("*",),
) -> str:
    """The same on an engine that is there; they can also sign in with PASSWORD."""
    with engine.begin() as connection:
        grants = principals.grants_at(connection, [role], sites)
        made = principals.add(connection, name or "-".join((role, *sites, token_hex(3))), grants)
        principals.set_password(connection, made.id, passwords.hashed(PASSWORD))
        now, life = datetime.now(UTC), timedelta(days=1)
        return keys.create(connection, made.id, "test", scopes, now=now, lifetime=life).text


def bearer(key: str) -> dict[str, str]:
    """The header that shows a key."""
    return {"Authorization": f"Bearer {key}"}
