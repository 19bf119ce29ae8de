"""`lab demo`: the whole platform on embedded parts, supervised by one process."""

import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, NoReturn

import orjson
import typer
from sqlalchemy.exc import DBAPIError

from services.cli import balance, sites
from services.cli.app import SeedOption, app, stop_on_signals
from services.cli.directory import data_directory, require_seed
from services.cli.parts import Addresses, addresses, command, service
from shared.db import migrate
from shared.db.access import first_run
from shared.db.engine import sync_engine
from shared.embedded import nats, postgres
from shared.embedded.child import Child, ChildFailed
from shared.embedded.nats import free_port
from shared.errors import OperatorError
from shared.settings import Access, Api, Database, load
from simulators import clock, scenario

DEFAULT_SCENARIOS = ("cibinong-testbed", "bandung-poc")
USUAL_MQTT_PORT = 1883
PAST_PATIENCE_S = 900.0  # for --check on a slow machine: until the past is published


class PortTaken(OperatorError):
    """A port the demo was told to use is in use."""


@app.command()
def demo(
    *,
    scenarios: Annotated[
        list[str] | None, typer.Option("--scenario", help="May be repeated.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Keep the data here, and go on from it next time.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the API and the pages.")] = 8000,
    mqtt_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Of the broker; default 1883, or a free one."),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--for", min=0, help="Stop after so many seconds.")
    ] = None,
    check: Annotated[
        bool, typer.Option(help="At the end print the counts as JSON; exit 1 if out of balance.")
    ] = False,
    seed: SeedOption = 1,
) -> None:
    """Run scenario → broker → ingest → database → analytics → API and page, and show it."""
    if check and seconds is None:
        raise OperatorError("--check needs --for SECONDS")
    chosen = scenario.named(scenarios or DEFAULT_SCENARIOS)
    _require_free(port, "--port")
    if mqtt_port is not None:
        _require_free(mqtt_port, "--mqtt-port")
    stop = stop_on_signals()
    with data_directory(data) as directory, ExitStack() as stack:
        require_seed(directory, seed)
        anchor = clock.remembered_anchor(directory / "anchor", clock.utc_now())
        where, welcome, services = stack.enter_context(
            _platform(directory, chosen, anchor, port, mqtt_port or _free_mqtt_port())
        )
        simulator = stack.enter_context(
            command(
                "simulate",
                [
                    *("simulate", *(each.name for each in chosen), "--json-progress"),
                    *("--seed", str(seed), "--anchor", anchor.strftime("%Y-%m-%dT%H:%M:%S")),
                    *("--journal", str(directory / "published.journal")),
                ],
                where.environment(),
                directory / "logs",
            )
        )
        _announce(where, welcome, data, check=check)
        try:
            _watch(where, [*services, simulator], simulator, stop, seconds, check=check)
        except DBAPIError as error:
            raise _database_failed(directory, error) from error
        if check:
            now = clock.utc_now()
            simulator.stop(60)
            planted = [row for each in chosen for row in each.planted(anchor, now, seed)]
            _check(where, simulator, planted, now)


def _check(
    where: Addresses, simulator: Child, planted: Sequence[scenario.Planted], now: datetime
) -> NoReturn:
    """The counts as one JSON line, what is wrong with them on stderr, and the exit code."""
    counts, faults = balance.settle(Database(url=where.database), where, simulator, planted, now)
    typer.echo(orjson.dumps(counts).decode())
    for fault in faults:
        typer.echo(f"lab: {fault}", err=True)
    raise typer.Exit(1 if faults else 0)


def _database_failed(directory: Path, error: DBAPIError) -> ChildFailed:
    """What to tell when the database no longer answers, most often for want of space."""
    free = shutil.disk_usage(directory).free // 2**20
    reason = str(error.orig).strip().splitlines()[0]
    log = directory / "postgres" / "postgres.log"
    return ChildFailed(f"the database stopped: {reason} (log: {log}; free space there: {free} MB)")


@contextmanager
def _platform(
    directory: Path,
    chosen: Sequence[scenario.Scenario],
    anchor: datetime,
    port: int,
    mqtt_port: int,
) -> Iterator[tuple[Addresses, list[str], list[Child]]]:
    """Servers first, then schema, sites and a link, then the services, each waited for."""
    logs = directory / "logs"
    logs.mkdir(mode=0o700, exist_ok=True)
    with ExitStack() as stack:
        url = stack.enter_context(postgres.running(directory / "postgres"))
        broker = stack.enter_context(nats.running(directory / "nats", mqtt_port=mqtt_port))
        where = addresses(url, broker, port)
        nats.write_private(directory / "environment", _exports(where))
        settings = Database(url=url)
        engine = sync_engine(settings)
        migrate.upgrade(engine)
        engine.dispose()
        files = [file for each in chosen for file in sites.files_of(each, anchor)]
        sites.apply_all(settings, files, where="scenario")
        welcome = _welcome(where, port)  # before the API would write one into its log
        children = [
            stack.enter_context(service(name, where.environment(), logs))
            for name in ("ingest", "analytics", "api")
        ]
        yield where, welcome, children


def _watch(
    where: Addresses,
    children: Sequence[Child],
    simulator: Child,
    stop: threading.Event,
    seconds: float | None,
    *,
    check: bool,
) -> None:
    """Until stopped or the time is over; a part that ends by itself ends the demo."""
    started = time.monotonic()
    status = balance.Status(Database(url=where.database), where, simulator)
    try:
        while not stop.wait(1.0):
            for child in children:
                if child.process.poll() is not None:
                    raise child.failure()
            elapsed = time.monotonic() - started
            _show(status.line(), round(elapsed))
            if seconds is None or elapsed < seconds:
                continue
            # The counts mean something once the past is out; a slow machine may take longer.
            if not check or status.past_published or elapsed > seconds + PAST_PATIENCE_S:
                return
    finally:
        status.close()
        if sys.stderr.isatty():
            typer.echo(err=True)
        typer.echo("stopping …", err=True)


def _show(line: str, second: int) -> None:
    """One line that renews itself on a terminal; in a log a new one every five seconds."""
    if sys.stderr.isatty():
        typer.echo(f"\r\x1b[K{line}", nl=False, err=True)
    elif second % 5 == 0:
        typer.echo(line, err=True)


def _welcome(where: Addresses, port: int) -> list[str]:
    """How the first person gets in: each start of a demo nobody has signed in to has a new link."""
    engine = sync_engine(Database(url=where.database))
    try:
        with engine.begin() as connection:
            api, access = Api(port=port), load(Access)
            return first_run.welcome(connection, api, access, clock.utc_now(), again=True)
    finally:
        engine.dispose()


def _announce(where: Addresses, welcome: Sequence[str], data: Path | None, *, check: bool) -> None:
    """Everything a newcomer wants to know; on stderr when stdout is for the check's JSON."""
    kept = f"{data} is kept" if data else "without --data nothing is kept"
    lines = (
        "",
        f"  The living lab runs at  {where.api}/",
        f"  API                     {where.api}/docs",
        "",
        *(f"  {line}" for line in welcome or (f"Sign in at              {where.api}/sign-in",)),
        "",
        "  In another shell, for `.venv/bin/lab ledger`, `doctor`, `replay` …:",
        *(f"    {line}" for line in _exports(where).splitlines()),
        "",
        f"  Ctrl-C stops everything; {kept}.",
        "",
    )
    for line in lines:
        typer.echo(line, err=check)


def _exports(where: Addresses) -> str:
    return "".join(f"export {key}='{value}'\n" for key, value in where.environment().items())


def _require_free(port: int, option: str) -> None:
    if not _is_free(port):
        raise PortTaken(f"{option}: port {port} is in use on 127.0.0.1: name another {option}")


def _free_mqtt_port() -> int:
    return USUAL_MQTT_PORT if _is_free(USUAL_MQTT_PORT) else free_port()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
