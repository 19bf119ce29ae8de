"""Doing a task of ingest from the shell: asked for as by anybody, done here or by ingest."""

import getpass
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import typer
from sqlalchemy import Connection, Engine, select

from services.cli.acting import note, opened
from services.cli.app import stop_on_signals
from services.ingest import task_runner
from shared.db import task as tasks
from shared.db.tables import site as site_table
from shared.db.task import ENDED, Asked
from shared.errors import OperatorError
from shared.settings import Database, load

AGAIN_S: Final = 0.5


def site_id(connection: Connection, key: str | None) -> int | None:
    """The id of a site; None: every one."""
    if key is None:
        return None
    found: int | None = connection.scalar(select(site_table.c.id).where(site_table.c.key == key))
    if found is None:
        raise OperatorError(f"no site {key!r}: `lab ledger` shows the keys of those there are")
    return found


def do(
    kind: str,
    args: Callable[[Connection], Mapping[str, Any]],
    *,
    site: str | None,
    why: str | None,
) -> Asked:
    """Ask for a task and see it to its end; a crash or a signal leaves the rest to ingest."""
    stop = stop_on_signals()
    with opened() as engine:
        with engine.begin() as connection:
            asked = tasks.ask(
                connection,
                kind,
                args(connection),
                site_id=site_id(connection, site),
                requested_by=f"cli:{getpass.getuser()}",
            )
            note(connection, "create", f"task/{asked.id}", why, ("kind", "args"), {"kind": kind})
        return _finished(engine, asked.id, stop)


def _finished(engine: Engine, task_id: int, stop: threading.Event) -> Asked:
    desk = task_runner.at_desk(load(Database), stop)
    try:
        while not stop.is_set():
            if not task_runner.perform(desk, task_id):
                time.sleep(AGAIN_S)  # a running ingest was faster
            with engine.connect() as connection:
                found = tasks.find(connection, task_id)
            if found is not None and found.state in ENDED:
                return _told(found)
    finally:
        desk.close()
    raise OperatorError(f"task {task_id} was interrupted: a running `lab ingest` goes on with it")


def _told(task: Asked) -> Asked:
    if task.state == "failed":
        raise OperatorError(f"task {task.id} failed: {(task.result or {}).get('error')}")
    return task


def show(result: Mapping[str, Any]) -> None:
    """One line a number; those by reason below their sum."""
    for name, value in result.items():
        if isinstance(value, Mapping):
            typer.echo(f"{name:16} {sum(value.values())}")
            for reason, n in sorted(value.items()):
                typer.echo(f"  {reason:14} {n}")
        elif name != "dry_run":
            typer.echo(f"{name:16} {value}")
    if result.get("dry_run"):
        typer.echo("dry run: nothing was changed")
