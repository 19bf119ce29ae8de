"""`lab ledger`: where every message went, in all and by source, device and hour."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, Final

import orjson
import typer
from sqlalchemy import Connection

from services.cli.acting import opened
from services.cli.app import app
from shared import broker_monitor
from shared.db import ledger as table
from shared.settings import Mqtt, load

SHOWN: Final = 20
UNKNOWN: Final = {"published": table.UNCOUNTED, "pending": broker_monitor.NOT_SET}
COLUMNS: Final = ("stored", "rejected", "repeats", "items", "gaps")

SiteOption = Annotated[str | None, typer.Option("--site", help="Key of a site.")]
SourceOption = Annotated[str | None, typer.Option("--source", help="Key of a source.")]
DeviceOption = Annotated[str | None, typer.Option("--device", help="Key of a device.")]
FromOption = Annotated[
    datetime | None, typer.Option("--from", help="From this UTC time.", show_default=False)
]
ToOption = Annotated[
    datetime | None, typer.Option("--to", help="Before this UTC time.", show_default=False)
]


def in_utc(moment: datetime | None) -> datetime | None:
    """A time given on the command line, which has no zone of its own."""
    return moment and moment.replace(tzinfo=UTC)


@app.command()
def ledger(
    site: SiteOption = None,
    source: SourceOption = None,
    device: DeviceOption = None,
    start: FromOption = None,
    end: ToOption = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Where every message went: stored, rejected by reason, pending, repeats, missing frames.

    Totals are of everything; filters choose the cells (one source, device and UTC hour).
    """
    monitor = load(Mqtt).monitor_url
    chosen = {
        **{"site": site, "source": source, "device": device},
        **{"start": in_utc(start), "end": in_utc(end)},
    }
    with opened() as engine, engine.connect() as connection:
        totals = asdict(table.totals(connection))
        found = list(islice(_cells(connection, chosen), None if as_json else SHOWN + 1))
    pending = broker_monitor.pending(monitor) if monitor else None
    totals = {"published": None, "pending": pending, **totals}
    if as_json:
        items = [{**asdict(c), "rejected_items": sum(c.rejected_items.values())} for c in found]
        typer.echo(orjson.dumps({"totals": totals, "items": items}).decode())
        return
    for name, n in totals.items():
        typer.echo(f"{name:16} {f'unknown: {UNKNOWN[name]}' if n is None else n}")
    for line in _table(found[:SHOWN]):
        typer.echo(line)
    if len(found) > SHOWN:
        typer.echo("… and more: `lab ledger --json`, or choose by --site, --device, --from, --to")


def _cells(connection: Connection, chosen: dict[str, Any]) -> Iterator[table.Cell]:
    """Every chosen cell of the ledger, newest hour first, read in pages."""
    page = table.cells(connection, **chosen)
    while page:
        yield from page
        page = table.cells(connection, **chosen, after=table.place(page[-1]))


def _table(cells: list[table.Cell]) -> Iterator[str]:
    if not cells:
        return
    places = [f"{c.site or '?'}/{c.source or '?'}/{c.device or '?'}" for c in cells]
    wide = max(map(len, places))
    yield f"\n{'hour (UTC)':16}  {'where':{wide}}" + "".join(f"{name:>10}" for name in COLUMNS)
    for cell, where in zip(cells, places, strict=True):
        items, refused = sum(cell.rejected_items.values()), sum(cell.rejected.values())
        numbers = (cell.stored, refused, cell.repeats, items, cell.frame_gaps)
        told = {**cell.rejected, **{f"item {k}": n for k, n in cell.rejected_items.items()}}
        why = "".join(f"  {reason} {n}" for reason, n in sorted(told.items()))
        yield (
            f"{cell.hour:%Y-%m-%d %H:%M}  {where:{wide}}"
            + "".join(f"{n:>10}" for n in numbers)
            + why
        )
