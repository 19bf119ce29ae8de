"""The first person of a fresh database: let in by a one-time link, for there is no password yet."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, exists, select, text

from shared.db import audit
from shared.db.access import principals, sessions
from shared.db.tables import principal, sign_in_link
from shared.domain.permission import Grant
from shared.settings import Access, Api

FIRST: Final = "admin"
_LOCK: Final = text("SELECT pg_advisory_xact_lock(4523)")  # of two that start at once, one adds


def link(
    connection: Connection, access: Access, now: datetime, *, again: bool = False
) -> str | None:
    """A sign-in token while nobody can sign in; None afterwards.

    Also None while an earlier one waits to be used, unless `again`.
    """
    connection.execute(_LOCK)
    if connection.scalar(select(exists().where(principal.c.password.is_not(None)))):
        return None
    waits = exists().where(sign_in_link.c.expires_at > now)
    if not again and connection.scalar(select(waits)):
        return None
    known = {each.name: each for each in principals.listed(connection)}
    mine = known.get(FIRST)
    if mine and (mine.machine or mine.disabled_at or Grant("admin") not in mine.grants):
        return None  # somebody has begun otherwise: `lab user add` goes on
    if mine is None:
        known[FIRST] = principals.add(connection, FIRST, [Grant("admin")])
        audit.record_sync(
            connection, audit.Entry(actor="first run", action="create", object=f"user/{FIRST}")
        )
    made = audit.Entry(actor="first run", action="create", object=f"user/{FIRST}/link")
    audit.record_sync(connection, made)
    lifetime = timedelta(hours=access.link_hours)
    return sessions.make_link(connection, known[FIRST].id, now, lifetime)


def address_of_link(api: Api, token: str) -> str:
    """Where a link leads."""
    return f"{api.public_url}/sign-in/link?token={token}"


def welcome(
    connection: Connection, api: Api, access: Access, now: datetime, *, again: bool = False
) -> list[str]:
    """What to print at start: how the first person gets in, or nothing."""
    token = link(connection, access, now, again=again)
    if token is None:
        return []
    return [
        f"Nobody can sign in yet. This link makes you {FIRST}, once, within {access.link_hours} h:",
        f"  {address_of_link(api, token)}",
    ]
