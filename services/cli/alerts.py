"""`lab alerts`: what was sent, what waits, what was given up; and starting that again."""

import typer
from sqlalchemy import Connection

from services.analytics.alerts import outbox
from services.cli.acting import WhyOption, note, with_database
from services.cli.app import app
from shared.db import migrate
from shared.db.engine import sync_engine
from shared.settings import Alerts, Database, load

SHOWN = 20

alerts = typer.Typer(help="Findings on their way to people.", no_args_is_help=True)
app.add_typer(alerts, name="alerts")


@alerts.command("list")
def show() -> None:
    """Counts by channel and state, then what failed, with the last error."""
    channels = load(Alerts).channels
    settings = load(Database)
    engine = sync_engine(settings)
    migrate.ready(engine, settings)
    with engine.connect() as connection:
        counts = outbox.counts(connection)
        troubled = outbox.troubled(connection, SHOWN)
    typer.echo(f"configured here: {', '.join(channels) or 'no channel'}")
    for count in counts:
        typer.echo(f"{count.channel:8} {count.state:8} {count.n}")
    for each in troubled:
        again = f"again at {each.next_at:%Y-%m-%d %H:%M:%S} UTC" if each.next_at else "given up"
        typer.echo(
            f"{each.channel:8} finding {each.finding_id} {each.kind} {each.severity}:"
            f" {each.attempts} attempts, {again}: {each.error}"
        )


@alerts.command()
def retry(*, why: WhyOption = None) -> None:
    """Send what was given up after all, from now on."""

    def act(connection: Connection) -> int:
        due = outbox.retry(connection)
        note(connection, "update", "alert", why, ("state", "next_at"), {"n": due})
        return due

    typer.echo(f"{with_database(act)} alerts are due again")
