"""`lab user add|list|grant|passwd|disable|enable`: who may come in."""

import getpass
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from sqlalchemy import Connection

from services.cli.acting import WhyOption, note, with_database
from services.cli.app import app
from shared import password as passwords
from shared.db.access import first_run, principals, sessions
from shared.domain.permission import GRANTED, Role
from shared.errors import OperatorError
from shared.settings import Access, Api, load

user = typer.Typer(help="People and machines, and their roles.", no_args_is_help=True)
app.add_typer(user, name="user")

NameArgument = Annotated[str, typer.Argument(help="Lower case, as it is typed at sign-in.")]
RoleOption = Annotated[
    list[str] | None, typer.Option("--role", help=f"{', '.join(GRANTED)}; may be repeated.")
]
SiteOption = Annotated[
    list[str] | None, typer.Option("--site", help="Key of a site; left out: every site.")
]


@user.command("add")
def add(
    name: NameArgument,
    *,
    role: RoleOption = None,
    site: SiteOption = None,
    machine: Annotated[bool, typer.Option(help="Has keys only, and cannot sign in.")] = False,
    why: WhyOption = None,
) -> None:
    """Add somebody, and print the link with which they choose a password."""
    roles = _roles(role)

    def act(connection: Connection) -> str | None:
        grants = principals.grants_at(connection, roles, site or ())
        made = principals.add(connection, name, grants, machine=machine)
        values = {"roles": [*roles], "sites": site, "machine": machine}
        note(connection, "create", f"user/{name}", why, ("name", *values), values)
        return None if machine else _link(connection, made.id)

    link = with_database(act)
    typer.echo(
        f"{name} is in" + (": make a key with `lab key create`" if machine else "; once, at")
    )
    if link:
        typer.echo(f"  {link}")


@user.command("list")
def listing() -> None:
    """Everybody, with roles and sites."""
    for each in with_database(principals.listed):
        grants = " ".join(f"{g.role}@{g.site or '*'}" for g in each.grants)
        state = "shut out" if each.disabled_at else _state(each)
        typer.echo(f"{each.name:24} {grants:40} {state}")


@user.command("grant")
def grant(
    name: NameArgument,
    *,
    role: RoleOption = None,
    site: SiteOption = None,
    why: WhyOption = None,
) -> None:
    """Make these the roles of somebody, in place of those they had."""
    roles = _roles(role)

    def act(connection: Connection) -> None:
        found = principals.find(connection, name)
        principals.set_grants(
            connection, found.id, principals.grants_at(connection, roles, site or ())
        )
        values = {"roles": [*roles], "sites": site}
        note(connection, "update", f"user/{name}", why, tuple(values), values)

    with_database(act)
    typer.echo(f"{name} has new roles from now on")


@user.command("passwd")
def passwd(
    name: NameArgument,
    *,
    here: Annotated[
        bool, typer.Option("--here", help="Type the password here, or pipe it in.")
    ] = False,
    why: WhyOption = None,
) -> None:
    """Print a one-time link for a new password, or set one here; the old one ends with its use."""

    def link(connection: Connection) -> str:
        found = principals.find(connection, name)
        if found.machine or found.disabled_at:
            raise OperatorError(f"{name} cannot sign in: it is a machine, or shut out")
        note(connection, "create", f"user/{name}/link", why)
        return _link(connection, found.id)

    if not here:
        typer.echo(f"once, within {load(Access).link_hours} hours:\n  {with_database(link)}")
        return
    typed = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    passwords.require_good(typed, name)
    stored = passwords.hashed(typed)

    def set_it(connection: Connection) -> None:
        found = principals.find(connection, name)
        if found.machine:
            raise OperatorError(f"{name} is a machine: it has keys only")
        principals.set_password(connection, found.id, stored)
        note(connection, "update", f"user/{name}", why, ("password",))

    with_database(set_it)
    typer.echo(f"{name} has a new password; every session of theirs has ended")


@user.command("disable")
def disable(name: NameArgument, *, why: WhyOption = None) -> None:
    """Shut somebody out: sessions, links and keys, at once."""
    _set_disabled(name, why, disabled=True)
    typer.echo(f"{name} is shut out")


@user.command("enable")
def enable(name: NameArgument, *, why: WhyOption = None) -> None:
    """Let somebody in again; sessions are to be begun anew."""
    _set_disabled(name, why, disabled=False)
    typer.echo(f"{name} may come in again")


def _roles(said: list[str] | None) -> list[Role]:
    for each in said or ():
        if each not in GRANTED:
            raise OperatorError(f"--role {each}: choose of {', '.join(GRANTED)}")
    if not said:
        raise OperatorError(f"give a --role: {', '.join(GRANTED)}")
    return [each for each in GRANTED if each in said]


def _link(connection: Connection, principal_id: int) -> str:
    lifetime = timedelta(hours=load(Access).link_hours)
    token = sessions.make_link(connection, principal_id, datetime.now(UTC), lifetime)
    return first_run.address_of_link(load(Api), token)


def _set_disabled(name: str, why: str | None, *, disabled: bool) -> None:
    def act(connection: Connection) -> None:
        found = principals.find(connection, name)
        principals.set_disabled(connection, found.id, disabled=disabled)
        note(
            connection,
            "update",
            f"user/{name}",
            why,
            ("disabled_at",),
            {"disabled": disabled},
        )

    with_database(act)


def _state(who: principals.Principal) -> str:
    if who.machine:
        return "machine"
    return "may sign in" if who.password_at else "has not chosen a password"
