"""Signing in, by password or one-time link: what fails tells nothing, takes as long, and waits."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from fastapi import Request
from sqlalchemy import Connection, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.api.access.credentials import shown
from services.api.access.hashing import Hashing
from services.api.access.known import Known
from services.api.access.visit import address_of
from shared import password as passwords
from shared.db import audit
from shared.db.access import back_off, principals, sessions
from shared.db.tables import principal
from shared.http.buckets import owner

passwords.matches(None, "")  # prepared: the first unknown name takes no longer than the next


@dataclass(frozen=True, slots=True)
class Refused:
    """Not let in. wait_s: when the next attempt will be looked at; 0: at once."""

    wait_s: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """What is known of a name. principal_id None: nobody who could sign in."""

    principal_id: int | None
    password: str | None
    told: str  # the name as the audit keeps it


async def by_password(request: Request, name: str, password: str, now: datetime) -> str | Refused:
    """The token of a new session, or why there is none: the same for whatever is wrong."""
    name, address = name.strip().lower()[:200].replace("\0", " "), address_of(request)
    client = owner(address) if address else None  # of IPv6 one client has half of the bits
    async with _transaction(request) as connection:
        wait_s = await connection.run_sync(back_off.attempt, name, client, now)
        stored = await connection.run_sync(_stored, name)
        if wait_s:
            refused = _attempt(stored.told, address, "refused", "back-off")
            await audit.record(connection, refused)
            return Refused(ceil(wait_s))
    # Without a connection: it takes its time.
    good = await _hashing(request).run(passwords.matches, stored.password, password)
    async with _transaction(request) as connection:
        # Once more, and held: it may have been changed, or its owner shut out, meanwhile.
        again = await connection.run_sync(_stored, name, lock=True)
        if not good or again != stored or stored.principal_id is None:
            await audit.record(connection, _attempt(stored.told, address, "refused"))
            return Refused()
        await connection.run_sync(back_off.forgive, name, client)
        await audit.record(connection, _attempt(name, address, "done"))
        return await connection.run_sync(_begin, request, stored.principal_id, now)


async def by_link(request: Request, token: str, password: str, now: datetime) -> str | None:
    """Set a password and return the token of a new session; None: the link is good no more.

    Raises PasswordRefused; the link stays good then.
    """
    whose = await owner_of_link(request, token, now)
    stored = await _hashed(request, password, whose[1]) if whose else ""
    async with _transaction(request) as connection:
        whose = await connection.run_sync(sessions.use_link, token, now)
        if whose is None:
            refused = _attempt("", address_of(request), "refused", "unknown link")
            await audit.record(connection, refused)
            return None
        await connection.run_sync(principals.set_password, whose[0], stored)
        await audit.record(connection, _new_password(request, whose[1], "one-time link"))
        came = _attempt(whose[1], address_of(request), "done", "one-time link")
        await audit.record(connection, came)
        return await connection.run_sync(_begin, request, whose[0], now)


async def owner_of_link(request: Request, token: str, now: datetime) -> tuple[int, str] | None:
    """Id and name of whom a link is for; None: it is unknown, used or too old."""
    async with _transaction(request) as connection:
        return await connection.run_sync(sessions.owner_of_link, token, now)


async def change_password(
    request: Request, name: str, old: str, new: str, now: datetime
) -> str | Refused:
    """Set another password, end every session and begin a new one; raises PasswordRefused."""
    passwords.require_good(new, name)
    let_in = await by_password(request, name, old, now)
    if isinstance(let_in, Refused):
        return let_in
    stored = await _hashed(request, new, name)
    async with _transaction(request) as connection:
        found = await connection.run_sync(_stored, name, lock=True)
        assert found.principal_id is not None
        await connection.run_sync(principals.set_password, found.principal_id, stored)
        await audit.record(connection, _new_password(request, name, "changed by its owner"))
        return await connection.run_sync(_begin, request, found.principal_id, now)


async def sign_out(request: Request) -> None:
    """End the session that was shown; without one nothing is to be ended."""
    credentials = shown(request)
    if credentials is None or credentials.kind != "session":
        return
    async with _transaction(request) as connection:
        name = await connection.run_sync(sessions.end, credentials.token)
        if name:
            told = f"user:{name}"
            left = audit.Entry(
                actor=told, action="sign_out", object=f"user/{name}", address=address_of(request)
            )
            await audit.record(connection, left)


def _transaction(request: Request) -> AbstractAsyncContextManager[AsyncConnection]:
    # Not of the pool of questions: a page that changes a password holds one of those already.
    engine: AsyncEngine = request.app.state.keeper
    return engine.begin()


async def _hashed(request: Request, password: str, name: str) -> str:
    passwords.require_good(password, name)
    return await _hashing(request).run(passwords.hashed, password)


def _hashing(request: Request) -> Hashing:
    found: Hashing = request.app.state.hashing
    return found


def _stored(connection: Connection, name: str, *, lock: bool = False) -> Stored:
    query = select(principal.c.id, principal.c.password).where(
        principal.c.name == name, principal.c.disabled_at.is_(None)
    )
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:  # people type passwords where a name is asked for: only its begin is kept
        return Stored(None, None, f"{name[:3]}…")
    return Stored(row.id, row.password, name)


def _begin(connection: Connection, request: Request, principal_id: int, now: datetime) -> str:
    """A session of its own: whatever was shown before is ended, and never taken over."""
    known: Known = request.app.state.known
    before = shown(request)
    if before and before.kind == "session":
        sessions.end(connection, before.token)
    absolute = timedelta(hours=known.settings.session_hours)
    sessions.forget_before(connection, now, absolute)
    back_off.clean(connection, now)
    return sessions.begin(connection, principal_id, now, address_of(request))


def _new_password(request: Request, name: str, why: str) -> audit.Entry:
    return audit.Entry(
        actor=f"user:{name}",
        action="update",
        object=f"user/{name}",
        address=address_of(request),
        why=why,
        changed=("password",),
    )


def _attempt(name: str, address: str | None, outcome: str, why: str | None = None) -> audit.Entry:
    return audit.Entry(
        actor=f"user:{name}" if outcome == "done" else "anonymous",
        action="sign_in",
        object=f"user/{name}",
        address=address,
        why=why,
        outcome=outcome,
    )
