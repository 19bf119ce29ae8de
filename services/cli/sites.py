"""`lab site apply`."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection

from services.analytics.pilot import kinds
from services.cli.acting import WhyOption, note
from services.cli.app import site
from services.ingest.main import known_adapters
from shared import catalogue, site_file
from shared.db import migrate, sites
from shared.db.engine import sync_engine
from shared.errors import OperatorError
from shared.settings import Database, load
from shared.site_file import SiteFile
from simulators import clock, scenario


@site.command()
def apply(
    file: Annotated[Path | None, typer.Argument(help="A YAML site file.")] = None,
    *,
    of_scenario: Annotated[
        str | None, typer.Option("--scenario", help="The sites of a scenario, instead of a file.")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Show the diff, change nothing.")] = False,
    why: WhyOption = None,
) -> None:
    """Bring the registry to what a site file says; safe to repeat, nothing is removed."""
    if file is not None and of_scenario is None:
        files = [site_file.read(file)]
    elif of_scenario is not None and file is None:
        (chosen,) = scenario.named([of_scenario])
        files = files_of(chosen, clock.anchor(clock.utc_now()))
    else:
        raise OperatorError("lab site apply: give a FILE, or --scenario NAME")
    where = str(file or of_scenario)
    diff = apply_all(load(Database), files, where=where, dry_run=dry_run, why=why)
    for line in diff:
        typer.echo(line)
    if dry_run or not diff:
        typer.echo("dry run: nothing was changed" if dry_run else "nothing to change")


def files_of(chosen: scenario.Scenario, anchor: datetime) -> list[SiteFile]:
    """The checked site files of a scenario."""
    return [site_file.parse(each, where=chosen.name) for each in chosen.site_files(anchor)]


def _applied(connection: Connection, file: SiteFile, why: str | None) -> list[str]:
    """Apply one site file and tell the audit what it changed; returns the diff."""
    diff = sites.lines(connection, file)
    if diff:
        changed = tuple(line.names for line in diff)
        note(connection, "update", f"site/{file.site.key}", why, changed)
    return [line.text for line in diff]


def apply_all(
    database: Database,
    files: Iterable[SiteFile],
    *,
    where: str,
    dry_run: bool = False,
    why: str | None = None,
) -> list[str]:
    """Apply site files in one transaction, all or none; returns the diff."""
    adapters, pilot_kinds = known_adapters().keys(), kinds().keys()
    for each in files:
        site_file.require_known(
            each,
            adapters=adapters,
            kinds=pilot_kinds,
            services=catalogue.service_keys(),
            where=where,
        )
    engine = sync_engine(database)
    migrate.ready(engine, database)
    try:
        with engine.connect() as connection:
            diff = [line for each in files for line in _applied(connection, each, why)]
            if not dry_run:
                connection.commit()
            return diff
    finally:
        engine.dispose()
