"""`lab audit verify|head|list|export|adopt`: the audit log, and whether it still holds."""

import csv
import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import typer
from sqlalchemy import Connection, Engine

from services.analytics.audit import seal
from services.analytics.audit.sign import vouched
from services.analytics.audit.verify import Report, places, said
from services.analytics.audit.verify import verify as verified
from services.cli.acting import opened
from services.cli.app import app
from shared.db import audit as log
from shared.db.audit import Chosen, Entry, Recorded
from shared.errors import OperatorError
from shared.settings import Audit, load

audit = typer.Typer(help="Who did what, and whether that record holds.", no_args_is_help=True)
app.add_typer(audit, name="audit")

Moment = Annotated[datetime | None, typer.Option(help="UTC, of when it was recorded.")]
Why = Annotated[str | None, typer.Option(help="Recorded with this very look.")]


@audit.command()
def verify(
    head: Annotated[
        str | None, typer.Option(help="HASH or SEQ:HASH, kept outside the database.")
    ] = None,
    anchors_from: Annotated[
        Path | None, typer.Option(help="Log lines `audit_head`, or what `lab audit head` printed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line.")] = False,
) -> None:
    """Check every row, the chain and its signatures; exit code 1 when anything does not hold."""
    lines = [] if head is None else [_line(head)]
    outside = [*said(lines, "the head given")]
    if anchors_from is not None:
        outside += said(_lines(anchors_from), f"a head in {anchors_from.name}")
        if not outside:
            raise OperatorError(f"{anchors_from}: no line with a head in it")
    with opened() as engine, _moment(engine) as connection:
        report = verified(connection, load(Audit).keys, outside)
    told = asdict(report) | {"ok": report.broken is None, "outside": len(outside)}
    typer.echo(orjson.dumps(told).decode() if as_json else _told(report, len(outside)))
    raise typer.Exit(1 if report.broken else 0)


@audit.command()
def head(as_json: Annotated[bool, typer.Option("--json", help="One JSON line.")] = False) -> None:
    """The newest sealed place, to be kept outside the database."""
    with opened() as engine, engine.connect() as connection:
        place = next((each for each in places(connection) if each.kind == "head"), None)
    if place is None:
        raise OperatorError("nothing is sealed yet: `lab analytics` does that")
    keys = load(Audit).keys
    signed = {True: "signed", False: "signed, not checked"}[vouched(place, keys)]
    state = signed if place.signature else "unsigned"
    told = {"seq": place.seq, "hash": place.hash.hex(), "at": place.at, "signature": state}
    line = f"seq={place.seq} hash={told['hash']} {state} {place.at:%Y-%m-%dT%H:%M:%SZ}"
    typer.echo(orjson.dumps(told).decode() if as_json else line)


@audit.command("list")
def show(
    actor: str | None = None,
    action: str | None = None,
    object_prefix: Annotated[str | None, typer.Option("--object", help="Its beginning.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 20,
    why: Why = None,
) -> None:
    """The newest entries."""
    chosen: Chosen = {"actor": actor, "action": action, "object_prefix": object_prefix}
    chosen["limit"] = limit
    with opened() as engine, engine.begin() as connection:
        found = log.entries_sync(connection, **chosen)
        log.record_sync(connection, _looked("read", why, {**chosen}))
    for each in found:
        typer.echo(_shown(each))


@audit.command()
def export(
    start: Annotated[datetime | None, typer.Option("--from", help="UTC, inclusive.")] = None,
    end: Annotated[datetime | None, typer.Option("--to", help="UTC, exclusive.")] = None,
    form: Annotated[Literal["json", "csv"], typer.Option("--format")] = "json",
    why: Why = None,
) -> None:
    """Every entry with its place in the chain on stdout, newest first; json: one a line."""
    start, end = (each and each.replace(tzinfo=UTC) for each in (start, end))
    span = {"from": start and start.isoformat(), "to": end and end.isoformat()}
    with opened() as engine:
        with engine.begin() as connection:  # known before anything is handed out
            log.record_sync(connection, _looked("export", why, span))
        with _moment(engine) as connection:
            _write(_streamed(connection, {"start": start, "end": end, "limit": None}), form)


@audit.command()
def adopt(why: Annotated[str, typer.Option(help="What was found; it is recorded.")]) -> None:
    """Go on from the newest seal there is, signed with LAB_AUDIT_KEY: after a break, or with a
    first key. What was broken stays broken, and verify goes on telling so."""
    with opened() as engine, engine.begin() as connection:
        place = seal.adopt(connection, load(Audit).keys, datetime.now(UTC))
        told = {"seq": place.seq, "hash": place.hash.hex()}
        log.record_sync(connection, _looked("adopt", why, told))
    typer.echo(f"sealing goes on after seq={place.seq} hash={place.hash.hex()}; restart analytics")


@contextmanager
def _moment(engine: Engine) -> Iterator[Connection]:
    """A connection that keeps seeing this moment while others write."""
    seen = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with seen.connect() as connection:
        yield connection


def _looked(action: str, why: str | None, values: dict[str, Any]) -> Entry:
    given = {name: value for name, value in values.items() if value is not None}
    return Entry(
        actor=f"cli:{getpass.getuser()}", action=action, object="audit", why=why, values=given
    )


def _line(head: str) -> str:
    seq, _, digest = head.rpartition(":")
    line = f"{f'seq={seq} ' if seq else ''}hash={digest.lower()}"
    if not list(said([line], "")):
        raise OperatorError("--head must be 64 hexadecimal digits, or SEQ: before them")
    return line


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(errors="replace").splitlines()
    except OSError as error:
        raise OperatorError(f"{file}: {error.strerror}") from None


def _streamed(connection: Connection, chosen: Chosen) -> Iterator[dict[str, Any]]:
    streaming = connection.execution_options(stream_results=True, yield_per=5_000)
    for row in streaming.execute(log.selected(**chosen)):
        entry = log.recorded(row)
        yield {each.name: getattr(entry, each.name) for each in fields(Recorded)}


def _write(rows: Iterator[dict[str, Any]], form: Literal["json", "csv"]) -> None:
    if form == "json":
        for row in rows:
            sys.stdout.write(orjson.dumps(row).decode() + "\n")
        return
    out = csv.DictWriter(sys.stdout, [each.name for each in fields(Recorded)])
    out.writeheader()
    for row in rows:
        plain = {"at": row["at"].isoformat(), "changed": " ".join(row["changed"])}
        out.writerow({**row, **plain, "values": orjson.dumps(row["values"]).decode()})


def _shown(each: Recorded) -> str:
    place = "not sealed" if each.seq is None else f"#{each.seq}"
    parts = (
        f"{each.at:%Y-%m-%d %H:%M:%S}  {place}  {each.actor}  {each.action} {each.object}",
        "" if each.outcome == "done" else f"  {each.outcome}",
        f"  from {each.address}" if each.address else "",
        f"  [{', '.join(each.changed)}]" if each.changed else "",
        f"  because: {each.why}" if each.why else "",
    )
    return "".join(parts)


def _told(report: Report, outside: int) -> str:
    signatures = {
        "checked": "signatures checked",
        "none": "NOT SIGNED: who can write SQL can write another chain (set LAB_AUDIT_KEY)",
        "not checked": "signatures NOT checked: LAB_AUDIT_KEY is not set here",
    }
    lines = [
        f"{report.rows} rows to seq={report.seq} hash={report.hash}",
        f"{report.anchors} signed places, {outside} heads given; {signatures[report.signatures]}",
    ]
    if report.unsealed:
        lines.append(f"{report.unsealed} rows not sealed yet, since {report.unsealed_since}")
    if report.late:
        lines.append(
            f"{report.late} rows are more than an hour older than one sealed before them, from row"
            f" {report.late_row}: written by a very long transaction, or back-dated"
        )
    broken = report.broken
    if broken is None:
        return "\n".join((*lines, "the audit log holds"))
    where = " ".join(
        f"{name} {value}"
        for name, value in (("seq", broken.seq), ("row", broken.row_id), ("at", broken.at))
        if value is not None
    )
    more = f" ({report.breaks - 1} more)" if report.breaks > 1 else ""
    return "\n".join((*lines, f"BROKEN: {broken.kind}: {where}: {broken.what}{more}"))
