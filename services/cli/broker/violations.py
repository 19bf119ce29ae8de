"""`lab broker violations`: who tried what they may not, counted from the broker's log."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import orjson
import typer

from services.cli.broker.commands import broker
from shared.broker_log import BrokerLog, Violation
from shared.broker_monitor import MonitorUnreachable, user_of
from shared.errors import OperatorError
from shared.settings import Broker, Mqtt, load


@broker.command()
def violations(
    file: Annotated[Path | None, typer.Argument(help="Instead of LAB_BROKER_LOG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list.")] = False,
) -> None:
    """Count what the broker refused, by user, kind and topic."""
    named = file or load(Broker).log
    if named is None:
        raise OperatorError("LAB_BROKER_LOG is not set; or name the broker's log: violations FILE")
    counts = Counter(
        (each.user, each.client if each.user is None else None, each.kind, each.topic)
        for each in _named(_read(named), load(Mqtt).monitor_url)
    )
    rows = [
        {"user": user, "client": client, "kind": kind, "topic": topic, "n": n}
        for (user, client, kind, topic), n in counts.most_common()
    ]
    if as_json:
        typer.echo(orjson.dumps(rows).decode())
        return
    for row in rows:
        who = row["user"] or f"? (client {row['client'] or 'without a name'})"
        typer.echo(f"{row['n']:6} {row['kind']:9} {who:30} {row['topic'] or ''}")
    if not rows:
        typer.echo("nothing was refused")


def _read(file: Path) -> list[Violation]:
    """Refusals in order; NATS numbers connections anew at each start: earlier numbers go."""
    reader = BrokerLog()
    try:
        with file.open(errors="replace") as lines:
            found = [each for line in lines for each in reader.read(line)]
    except OSError as error:
        raise OperatorError(f"{file}: {error.strerror}") from None
    return [each if each.run == reader.run else replace(each, connection=None) for each in found]


def _named(found: list[Violation], monitor_url: str | None) -> list[Violation]:
    """With the users that NATS's monitoring still knows."""
    numbers = {each.connection for each in found if each.connection}
    users: dict[str | None, str | None] = {}
    try:
        users = {n: user_of(monitor_url, n) for n in numbers} if monitor_url else {}
    except MonitorUnreachable as error:
        typer.echo(f"lab: LAB_MQTT_MONITOR_URL: {error}: users are not told", err=True)
    return [replace(each, user=each.user or users.get(each.connection)) for each in found]
