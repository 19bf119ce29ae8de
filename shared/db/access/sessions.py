"""Sessions of people who signed in, and the one-time links that let them in without a password."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from shared.db.access import changed
from shared.db.access.token import digest, new_token
from shared.db.tables import principal, session, sign_in_link


def begin(connection: Connection, principal_id: int, now: datetime, address: str | None) -> str:
    """Begin a session; returns its token, which stands nowhere but in the cookie."""
    token = new_token()
    values = {"digest": digest(token), "created_at": now, "seen_at": now, "address": address}
    connection.execute(insert(session).values(principal_id=principal_id, **values))
    return token


def end(connection: Connection, token: str) -> str | None:
    """End one session; returns whose it was, None for one that had ended already."""
    ended = delete(session).where(session.c.digest == digest(token))
    number = connection.scalar(ended.returning(session.c.principal_id))
    if number is None:
        return None
    changed(connection)
    name: str | None = connection.scalar(select(principal.c.name).where(principal.c.id == number))
    return name


def forget_before(connection: Connection, now: datetime, absolute: timedelta) -> None:
    """Remove sessions and links whose time is over."""
    connection.execute(delete(session).where(session.c.created_at < now - absolute))
    connection.execute(delete(sign_in_link).where(sign_in_link.c.expires_at < now))


def make_link(connection: Connection, principal_id: int, now: datetime, lifetime: timedelta) -> str:
    """A one-time token with which its owner sets a password; earlier ones stay good."""
    token = new_token()
    values = {"digest": digest(token), "expires_at": now + lifetime}
    connection.execute(insert(sign_in_link).values(principal_id=principal_id, **values))
    return token


def owner_of_link(
    connection: Connection, token: str, now: datetime, *, lock: bool = False
) -> tuple[int, str] | None:
    """Id and name of whom a link is for, or None when it is unknown, used or too old."""
    query = (
        select(principal.c.id, principal.c.name)
        .join(sign_in_link, sign_in_link.c.principal_id == principal.c.id)
        .where(sign_in_link.c.digest == digest(token), sign_in_link.c.expires_at > now, *_MAY)
    )
    held = query.with_for_update(of=principal) if lock else query
    row = connection.execute(held).one_or_none()
    return None if row is None else (row.id, row.name)


def use_link(connection: Connection, token: str, now: datetime) -> tuple[int, str] | None:
    """As `owner_of_link`, and it is good no more: of two who come at once one gets it."""
    owner = owner_of_link(connection, token, now, lock=True)  # first, as whoever shuts it out does
    used = delete(sign_in_link).where(sign_in_link.c.digest == digest(token))
    return owner if connection.execute(used).rowcount else None


_MAY: Final = (principal.c.disabled_at.is_(None), ~principal.c.machine)
