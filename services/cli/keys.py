"""`lab key create|list|rotate|revoke`: keys for programs."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from sqlalchemy import Connection

from services.cli.acting import WhyOption, note, with_database
from services.cli.app import app
from services.cli.users import SiteOption
from shared.db import audit
from shared.db.access import keys, principals

key = typer.Typer(help="API keys: shown once, stored hashed.", no_args_is_help=True)
app.add_typer(key, name="key")

PrefixArgument = Annotated[str, typer.Argument(help="The eight characters after lab_.")]
DaysOption = Annotated[int, typer.Option(min=1, max=keys.LONGEST.days, help="How long it is good.")]


@key.command("create")
def create(
    *,
    user: Annotated[str, typer.Option(help="Whose key: it may what they may, at most.")],
    name: Annotated[str, typer.Option(help="What it is for.")] = "made at a shell",
    scope: Annotated[
        list[str] | None, typer.Option(help="Such as device:read; default *:read; repeatable.")
    ] = None,
    site: SiteOption = None,
    days: DaysOption = 90,
    why: WhyOption = None,
) -> None:
    """Make a key and print it, once, alone on stdout."""

    def act(connection: Connection) -> keys.Made:
        owner = principals.find(connection, user)
        made = keys.create(
            connection,
            owner.id,
            name,
            scope or ["*:read"],
            now=datetime.now(UTC),
            lifetime=timedelta(days=days),
            site_ids=principals.site_ids(connection, site or None),
        )
        values: dict[str, audit.JSON] = {"scopes": scope, "sites": site, "owner": user}
        note(connection, "create", f"key/{made.key.prefix}", why, ("name", *values), values)
        return made

    made = with_database(act)
    typer.echo(f"until {made.key.expires_at:%Y-%m-%d %H:%M} UTC, shown this once:", err=True)
    typer.echo(made.text)


@key.command("list")
def listing() -> None:
    """Every key without its secret, the newest first."""
    now = datetime.now(UTC)
    for each in with_database(keys.listed):
        used = f"{each.last_used_at:%Y-%m-%d %H:%M}" if each.last_used_at else "never used"
        where = " ".join(each.sites) if each.sites is not None else "*"
        typer.echo(
            f"{each.prefix}  {each.owner:16} {each.name:20} {' '.join(each.scopes)} @ {where}"
            f"  until {each.expires_at:%Y-%m-%d %H:%M}  {used}  {_state(each, now)}"
        )


@key.command("rotate")
def rotate(
    prefix: PrefixArgument,
    *,
    overlap_h: Annotated[
        float, typer.Option(min=0, max=720, help="Hours for which the old key goes on.")
    ] = 24,
    why: WhyOption = None,
) -> None:
    """Make a key like this one and print it; the old one goes on for a while."""

    def act(connection: Connection) -> keys.Made:
        old = keys.find(connection, prefix)
        made = keys.rotate(connection, old, datetime.now(UTC), overlap=timedelta(hours=overlap_h))
        new = {"new": made.key.prefix, "owner": old.owner}
        note(connection, "rotate", f"key/{prefix}", why, ("expires_at",), new)
        return made

    made = with_database(act)
    typer.echo(f"key {prefix} goes on for {overlap_h:g} h; the new one, shown this once:", err=True)
    typer.echo(made.text)


@key.command("revoke")
def revoke(prefix: PrefixArgument, *, why: WhyOption = None) -> None:
    """End a key at once."""

    def act(connection: Connection) -> None:
        found = keys.find(connection, prefix)
        keys.revoke(connection, found.id, datetime.now(UTC))
        note(connection, "revoke", f"key/{prefix}", why, ("revoked_at",))

    with_database(act)
    typer.echo(f"key {prefix} is revoked")


def _state(key: keys.ApiKey, now: datetime) -> str:
    if key.revoked_at:
        return "revoked"
    return "expired" if key.expires_at <= now else "good"
