"""People and machines with their roles, and what I myself may."""

from datetime import UTC, datetime, timedelta

from pydantic import Field
from sqlalchemy import Connection

from services.api.access.guard import Router, needs
from services.api.access.known import Known
from services.api.access.visit import Visit
from services.api.deps import Visitor
from services.api.listing import Payload
from shared.db.access import AccessRefused, principals, sessions
from shared.domain.permission import PERMISSIONS, Grant, Role


class Granted(Payload):
    """A role at a site. site null: at every site."""

    role: Role
    site: str | None = Field(examples=["cibinong"])


class Me(Payload):
    """Who asks, and what they may."""

    name: str = Field(examples=["dewi"])
    via: str = Field(description="key or session", examples=["key"])
    grants: list[Granted]
    permissions: list[str] = Field(description="usable at one site or more")


class User(Payload):
    """One person or machine; times in UTC."""

    name: str = Field(examples=["dewi"])
    machine: bool = Field(description="has keys only, and cannot sign in")
    grants: list[Granted]
    created_at: datetime
    disabled_at: datetime | None = Field(description="null: may come in")
    password_at: datetime | None = Field(description="null: has never set one")


class Users(Payload):
    """Everybody, by name."""

    items: list[User]
    next: None = Field(default=None, description="always null: the whole list is here")


router = Router(tags=["access"])


async def everybody(visit: Visit) -> list[principals.Principal]:
    """All people and machines."""
    return await visit.connection.run_sync(principals.listed)


async def add(
    visit: Visit, name: str, roles: list[Role], sites: list[str], *, machine: bool
) -> None:
    """Add somebody; raises AccessRefused."""

    def added(connection: Connection) -> None:
        grants = principals.grants_at(connection, roles, sites)
        principals.add(connection, name, grants, machine=machine)

    await visit.connection.run_sync(added)
    values = {"roles": [*roles], "sites": sites, "machine": machine}
    await visit.record("create", f"user/{name}", changed=("name", *values), values=values)


async def set_disabled(visit: Visit, name: str, *, disabled: bool) -> None:
    """Shut somebody out, or let them in again; raises AccessRefused."""
    found = await visit.connection.run_sync(principals.find, name)
    if disabled and found.id == visit.actor.principal_id:
        raise AccessRefused("you would shut yourself out: let another admin do it")
    await visit.connection.run_sync(
        lambda sync: principals.set_disabled(sync, found.id, disabled=disabled)
    )
    values = {"disabled": disabled}
    await visit.record("update", f"user/{name}", changed=("disabled_at",), values=values)


async def link(visit: Visit, known: Known, name: str) -> str:
    """A new one-time link of somebody, as the token in it; raises AccessRefused."""
    found = await visit.connection.run_sync(principals.find, name)
    if found.machine or found.disabled_at:
        raise AccessRefused(f"{name} cannot sign in: it is a machine, or shut out")
    lifetime = timedelta(hours=known.settings.link_hours)
    token = await visit.connection.run_sync(
        sessions.make_link, found.id, datetime.now(UTC), lifetime
    )
    await visit.record("create", f"user/{name}/link")
    return token


def _granted(grants: tuple[Grant, ...]) -> list[Granted]:
    return [Granted(role=each.role, site=each.site) for each in grants]


@router.get("/me", summary="Who I am and what I may", dependencies=[needs("self:read")])
async def _me(visit: Visitor) -> Me:
    return Me(
        name=visit.actor.name,
        via=visit.actor.via,
        grants=_granted(visit.actor.grants),
        permissions=[name for name in PERMISSIONS if visit.may(name)],
    )


@router.get("/users", summary="People and machines", dependencies=[needs("user:read")])
async def _users(visit: Visitor) -> Users:
    found = [
        User(
            name=each.name,
            machine=each.machine,
            grants=_granted(each.grants),
            created_at=each.created_at,
            disabled_at=each.disabled_at,
            password_at=each.password_at,
        )
        for each in await everybody(visit)
    ]
    return Users(items=found)
