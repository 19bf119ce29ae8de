"""One request of somebody known: their connection, what else they may, and the audit's pen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.api.access import own_page
from services.api.access.credentials import Credentials
from services.api.problem import Forbidden
from shared.db import audit
from shared.db.access.actor import Actor


@dataclass(slots=True)
class Visit:
    """Who asks, with a connection that sees `sites` (None: all) until the answer is made."""

    actor: Actor
    connection: AsyncConnection
    sites: frozenset[int] | None
    credentials: Credentials | None
    address: str | None
    why: str | None
    keeper: AsyncEngine
    writes: bool
    # What the audit is told; where the visit `writes`, it goes with the commit.
    written: list[audit.Entry] = field(default_factory=list)

    @property
    def csrf(self) -> str:
        """What forms of this visit carry; empty without a session."""
        session = self.credentials if self.actor.via == "session" else None
        return own_page.csrf_token(session.token) if session else ""

    def may(self, permission: str, site: str | None = None) -> bool:
        """Whether they may use another permission, at a site by its key or anywhere."""
        sites = self.actor.sites(permission)
        keys = self.keys(sites)
        return keys is None or (bool(sites) if site is None else site in keys)

    def require(self, permission: str, site: str | None = None) -> None:
        """Raise Forbidden unless they may."""
        if not self.may(permission, site):
            raise Forbidden(f"{self.actor.name} may not use {permission} here")

    def keys(self, sites: frozenset[int] | None) -> frozenset[str] | None:
        """Keys of some sites of this actor; None: every site."""
        if sites is None:
            return None
        return frozenset(key for number, key in self.actor.places.items() if number in sites)

    async def record(
        self,
        action: str,
        what: str,
        *,
        site_id: int | None = None,
        changed: tuple[str, ...] = (),
        values: Mapping[str, Any] | None = None,
        outcome: str = "done",
    ) -> None:
        """Write down what is done, with the deed itself; what only reads, before it answers."""
        entry = audit.Entry(
            actor=str(self.actor),
            action=action,
            object=what,
            site_id=site_id,
            address=self.address,
            why=self.why,
            outcome=outcome,
            changed=changed,
            values=values or {},
        )
        self.written.append(entry)
        if self.writes:
            return
        async with self.keeper.begin() as connection:
            await audit.record(connection, entry)


def address_of(request: Request) -> str | None:
    """Where it comes from, as the outermost layer found out."""
    told: str | None = getattr(request.state, "address", None)
    return told or (request.client.host if request.client else None)
