"""The typer application the commands hang on, and what they share."""

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from shared.settings import Log, load
from shared.telemetry import configure_logs

app = typer.Typer(
    name="lab",
    help="Run a living lab: sensors and citizens in, pilot evidence out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
database = typer.Typer(help="Schema and state of the database.", no_args_is_help=True)
site = typer.Typer(help="Sites, pilots and devices.", no_args_is_help=True)
app.add_typer(database, name="db")
app.add_typer(site, name="site")

SeedOption = Annotated[int, typer.Option(help="Same seed, same messages.")]
FileArgument = Annotated[Path, typer.Argument(help="The file to read.")]


@app.callback()
def prepare() -> None:
    """Run a living lab: sensors and citizens in, pilot evidence out."""
    configure_logs(load(Log))


def stop_on_signals() -> threading.Event:
    """An event set by SIGTERM, SIGINT or a closed terminal, so that a service can finish what it
    holds; what `nohup` began stays."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: stop.set())
    return stop
