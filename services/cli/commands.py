"""`lab ingest|analytics|api|doctor`: the services, and looking at them."""

import typer

from services.cli.app import app, stop_on_signals
from shared.settings import (
    Access,
    Alerts,
    Analytics,
    Api,
    Audit,
    Broker,
    Database,
    Ingest,
    Mqtt,
    Push,
    Retention,
    load,
)


@app.command()
def ingest() -> None:
    """Receive messages and write them; acknowledged only when committed."""
    from services.ingest.main import run  # each service imports what it needs, no more

    run(load(Database), load(Mqtt), load(Ingest), stop_on_signals(), load(Broker).log)


@app.command()
def push() -> None:
    """Take messages over HTTP (POST /v1/ingest/SITE.SOURCE) and write them, as ingest does."""
    from services.ingest.push.main import run

    run(load(Database), load(Push), load(Ingest), stop_on_signals())


@app.command()
def analytics() -> None:
    """Roll up, analyse pilots and compute outcome metrics."""
    from services.analytics.main import run

    kept = load(Retention), load(Audit)
    run(load(Database), load(Analytics), stop_on_signals(), load(Alerts), *kept)


@app.command()
def api() -> None:
    """Serve the API and the pages."""
    from services.api.main import run

    run(load(Database), load(Api), load(Access), load(Mqtt).monitor_url)


@app.command()
def doctor() -> None:
    """Check settings, database, broker and parts; says what to do about what is wrong."""

    from services.cli.doctor import examine

    lines, healthy = examine()
    for line in lines:
        typer.echo(line)
    raise typer.Exit(0 if healthy else 2)
