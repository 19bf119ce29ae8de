"""The commands of `lab broker`."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from services.cli.acting import WhyOption, note, opened, with_database
from services.cli.app import app
from services.cli.broker import mosquitto_users, nats_users
from shared.db import credentials
from shared.db.credentials import Grant
from shared.errors import OperatorError
from shared.settings import Broker, Ingest, Mqtt, load

broker = typer.Typer(help="Who may publish what at the broker.", no_args_is_help=True)
app.add_typer(broker, name="broker")

SourceArgument = Annotated[str, typer.Argument(metavar="SITE/SOURCE", help="As in the site file.")]


@broker.command()
def credential(source: SourceArgument, *, why: WhyOption = None) -> None:
    """Make or replace the credential of a source; the password is shown once."""
    settings = _administered()
    with opened() as engine, engine.connect() as connection:
        user, password = credentials.replace(connection, source)
        granted = credentials.grants(connection)
        note(connection, "create", f"source/{source}/credential", why, ("password",))
        diff = _synced(settings, granted, {user: password})
        connection.commit()
    _tell(diff, err=True)
    typer.echo(f"user      {user}\npassword  {password}")
    filters = next(each.filters for each in granted if each.user == user)
    typer.echo(f"It is shown this once. It may publish: {', '.join(filters)}", err=True)


@broker.command()
def revoke(source: SourceArgument, *, why: WhyOption = None) -> None:
    """End the credential of a source: it is cut off, and refused from then on."""
    settings = _administered()
    # Recorded first: a broker that is away must not undo it.
    with opened() as engine, engine.begin() as connection:
        user = credentials.revoke(connection, source)
        note(connection, "revoke", f"source/{source}/credential", why, ("revoked_at",))
        granted = credentials.grants(connection)
    _tell(_synced(settings, granted))
    typer.echo(f"{user} is revoked")


@broker.command()
def sync(
    dry_run: Annotated[bool, typer.Option(help="Show the diff, change nothing.")] = False,
    why: WhyOption = None,
) -> None:
    """Bring the broker's users to the credentials and the filters of the site files."""
    settings = _administered()
    with opened() as engine, engine.connect() as connection:
        granted = credentials.grants(connection)
    diff = _synced(settings, granted, dry_run=dry_run)
    if diff and not dry_run:
        with_database(lambda connection: note(connection, "update", "broker", why, tuple(diff)))
    _tell(diff)
    if dry_run or not diff:
        typer.echo("dry run: nothing was changed" if dry_run else "nothing to change")
    raise typer.Exit(1 if any(line.startswith("!") for line in diff) else 0)


@broker.command("list")
def show() -> None:
    """Every source: its user name, since when, and what it may publish."""
    with opened() as engine, engine.connect() as connection:
        listed = credentials.listing(connection)
    for each in listed:
        moment = each.revoked_at or each.created_at
        state = "revoked" if each.revoked_at else "since" if moment else "no credential"
        when = f"{moment:%Y-%m-%d %H:%M}" if moment else ""
        typer.echo(f"{each.user:30} {state:13} {when:16}  {', '.join(each.filters)}")


def _synced(
    settings: Broker,
    granted: Sequence[Grant],
    passwords: Mapping[str, str] | None = None,
    *,
    dry_run: bool = False,
) -> list[str]:
    mqtt = load(Mqtt)
    if settings.kind == "nats":
        return nats_users.sync(settings, mqtt, granted, load(Ingest).worker, dry_run=dry_run)
    return mosquitto_users.sync(settings, mqtt, granted, passwords or {}, dry_run=dry_run)


def _administered() -> Broker:
    settings = load(Broker)
    if not settings.urls:
        raise OperatorError(
            "LAB_BROKER_ADMIN_URL is not set; for example nats://broker-admin:…@127.0.0.1:4222"
            " or mqtts://broker-admin:…@127.0.0.1:8883"
        )
    return settings


def _tell(diff: Sequence[str], *, err: bool = False) -> None:
    for line in diff:
        typer.echo(line, err=err)
