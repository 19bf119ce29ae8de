"""`lab ingest|analytics|api|ledger|doctor`: the services, and looking at them."""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from typing import Annotated

import orjson
import typer
from sqlalchemy import Connection

from services.cli.app import app, stop_on_signals
from shared import broker_monitor
from shared.db import ledger as ledger_table
from shared.db import migrate
from shared.db.engine import sync_engine
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
    Retention,
    load,
)

SHOWN_CELLS = 20


@app.command()
def ingest() -> None:
    """Receive messages and write them; acknowledged only when committed."""
    from services.ingest.main import run  # each service imports what it needs, no more

    run(load(Database), load(Mqtt), load(Ingest), stop_on_signals(), load(Broker).log)


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
def ledger(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Where every message went: stored, rejected by reason, pending, repeats."""
    settings, monitor = load(Database), load(Mqtt).monitor_url
    engine = sync_engine(settings)
    migrate.ready(engine, settings)
    with engine.connect() as connection:
        totals = asdict(ledger_table.totals(connection))
        cells = list(islice(_cells(connection), None if as_json else SHOWN_CELLS + 1))
    pending = broker_monitor.pending(monitor) if monitor else None
    totals = {"published": None, "pending": pending, **totals}
    if as_json:
        items = [
            {**asdict(c), "rejected_items": sum(c.rejected_items.values()), "frame_gaps": None}
            for c in cells
        ]
        typer.echo(orjson.dumps({"totals": totals, "items": items}).decode())
        return
    for name, count in totals.items():
        typer.echo(f"{name:16} {'unknown' if count is None else count}")
    for c in cells[:SHOWN_CELLS]:
        counted = {**c.rejected, **{f"item {k}": n for k, n in c.rejected_items.items()}}
        faults = "".join(f"  {reason} {n}" for reason, n in sorted(counted.items()))
        typer.echo(f"{c.hour:%Y-%m-%d %H:%M}  {c.source}  {c.device or '?'}  {c.stored}{faults}")
    if len(cells) > SHOWN_CELLS:
        typer.echo("… and more: `lab ledger --json`")


def _cells(connection: Connection) -> Iterator[ledger_table.Cell]:
    """Every cell of the ledger, newest hour first, read in pages."""
    page = ledger_table.cells(connection)
    while page:
        yield from page
        page = ledger_table.cells(connection, after=ledger_table.place(page[-1]))


@app.command()
def doctor() -> None:
    """Check settings, database, broker and parts; says what to do about what is wrong."""
    from services.cli.doctor import examine

    lines, healthy = examine()
    for line in lines:
        typer.echo(line)
    raise typer.Exit(0 if healthy else 2)
