"""`lab simulate` and `lab replay`: publish through the same path as real devices."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import text

from services.cli.app import FileArgument, SeedOption, app, stop_on_signals
from shared.db import migrate
from shared.db.engine import sync_engine
from shared.errors import OperatorError
from shared.settings import Database, Mqtt, load
from simulators import clock, run, scenario
from simulators.publish import Counts
from simulators.replay import replay as replay_file
from simulators.replay_map import Map, read_map


@app.command()
def simulate(
    scenarios: Annotated[list[str], typer.Argument(help="Names of scenarios.")],
    *,
    seed: SeedOption = 1,
    live: Annotated[bool, typer.Option(help="Go on in real time after the past.")] = True,
    anchor: Annotated[
        datetime | None, typer.Option(help="When the simulation first began, UTC.")
    ] = None,
    journal: Annotated[
        Path | None, typer.Option(help="Remembers what was acknowledged, over restarts.")
    ] = None,
    json_progress: Annotated[bool, typer.Option(help="JSON lines on stdout.")] = False,
) -> None:
    """Publish scenarios: their past at once, then live. Apply their sites first:
    lab site apply --scenario NAME."""
    now = clock.utc_now()
    counts = run.run(
        scenario.named(scenarios),
        load(Mqtt),
        seed=seed,
        anchor=anchor.replace(tzinfo=UTC) if anchor else clock.anchor(now),
        now=now,
        live=live,
        stop=stop_on_signals(),
        progress=run.json_progress if json_progress else _show,
        journal=journal,
    )
    typer.echo(_told(counts), err=json_progress)


@app.command()
def replay(
    file: FileArgument,
    *,
    mapping: Annotated[Path, typer.Option("--map", help="YAML: which column is what.")],
    site: Annotated[
        str | None,
        typer.Option(help="Site key, if the map names none; else the one that has its devices."),
    ] = None,
    shift: Annotated[
        str, typer.Option(help="none keeps recorded times; now moves them by whole weeks.")
    ] = "none",
) -> None:
    """Publish a recorded CSV or Parquet file, row by row, as messages of the lab adapter."""
    if shift not in ("none", "now"):
        raise OperatorError(f"--shift {shift}: must be none or now")
    counts = replay_file(
        file,
        mapping,
        load(Mqtt),
        now=clock.utc_now(),
        stop=stop_on_signals(),
        shift="now" if shift == "now" else "none",
        site=site or read_map(mapping).site or _site_of(read_map(mapping)),
        progress=_show,
    )
    typer.echo(_told(counts))


def _site_of(mapping: Map) -> str:
    """The one site that has every device of the map; raises OperatorError when that is no one."""
    settings = load(Database)
    engine = sync_engine(settings)
    migrate.ready(engine, settings)
    with engine.connect() as connection:
        devices = [key for key in (mapping.devices or {}).values() if key]
        found = connection.scalars(_SITES, {"devices": devices}).all()
    engine.dispose()
    if len(found) != 1:
        raise OperatorError(
            f"--site: {len(found)} sites have the devices of the map: name one there or by --site"
        )
    return str(found[0])


_SITES = text("""
    SELECT key FROM site
    WHERE CAST(:devices AS text[]) <@ ARRAY(SELECT key FROM device WHERE site_id = site.id)
      AND EXISTS (SELECT FROM source WHERE site_id = site.id AND adapter = 'lab')
""")


def _show(counts: Counts, done: bool) -> None:
    if sys.stderr.isatty():
        told = f"{_told(counts)}{' (past published)' if done else ''}"
        typer.echo(f"\r\x1b[K{told}", nl=False, err=True)


def _told(counts: Counts) -> str:
    return f"published {counts.published}, repeats {counts.repeats}"
