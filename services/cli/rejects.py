"""`lab rejects list|show|redrive`: what was refused, why, and taking it in after all."""

import string
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import orjson
import typer
from sqlalchemy import Connection, text

from services.cli import task
from services.cli.acting import WhyOption, note, with_database
from services.cli.app import app
from services.cli.ledger import DeviceOption, FromOption, SiteOption, SourceOption, ToOption, in_utc
from shared.errors import OperatorError

SHOWN: Final = 20
SHOWN_BYTES: Final = 4096

rejects = typer.Typer(help="Messages and values that were refused.", no_args_is_help=True)
app.add_typer(rejects, name="rejects")
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Such as unknown_device.")]


@rejects.command("list")
def show_list(
    reason: ReasonOption = None,
    site: SiteOption = None,
    source: SourceOption = None,
    device: DeviceOption = None,
    about: Annotated[
        str | None, typer.Option("--about", help="Text in topic or detail, such as an EUI.")
    ] = None,
    start: FromOption = None,
    end: ToOption = None,
    *,
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = SHOWN,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """How many by reason, then the newest, with the id that `show` and `redrive --id` take."""
    chosen = {
        **{"reason": reason, "site": site, "source": source, "device": device},
        **{"about": about and about.lower(), "start": in_utc(start), "end": in_utc(end)},
    }

    def act(connection: Connection) -> tuple[list[Any], list[Any]]:
        counted = connection.execute(_COUNTED, chosen).all()
        return list(counted), list(connection.execute(_LISTED, {**chosen, "limit": limit}))

    counted, found = with_database(act)
    if as_json:
        for row in found:
            typer.echo(orjson.dumps(dict(row._mapping)).decode())
        return
    for row in counted:
        typer.echo(f"{row.n:8}  {row.scope:8} {row.reason}")
    if not counted:
        typer.echo("nothing was refused")
    for row in found:
        where = f"{row.site or '?'}/{row.source or '?'}/{row.device or '?'}"
        typer.echo(
            f"{row.received_at:%Y-%m-%d %H:%M:%S}  {row.reject_id}  {where}  {row.reason}:"
            f" {row.detail}"
        )


@rejects.command()
def show(reject: UUID, *, why: WhyOption = None) -> None:
    """One of them with its bytes, as text where they are text."""

    def act(connection: Connection) -> Any:
        note(connection, "read", f"reject/{reject}", why)
        return connection.execute(_ONE, {"id": str(reject)}).one_or_none()

    row = with_database(act)
    if row is None:
        raise OperatorError(f"no reject {reject}: it was taken in, or removed after its time")
    for name in ("received_at", "site", "source", "device", "scope", "reason", "detail", "topic"):
        typer.echo(f"{name:12} {row._mapping[name] if row._mapping[name] is not None else '-'}")
    if row.payload is None:
        typer.echo(f"{'payload':12} in the raw message {row.uplink_id}" if row.uplink_id else "")
        return
    typer.echo(f"{'payload':12} {len(row.payload)} bytes")
    typer.echo(_readable(bytes(row.payload[:SHOWN_BYTES])))


@rejects.command()
def redrive(
    reason: ReasonOption = None,
    site: SiteOption = None,
    source: SourceOption = None,
    device: DeviceOption = None,
    start: FromOption = None,
    end: ToOption = None,
    reject: Annotated[list[UUID] | None, typer.Option("--id", help="May be repeated.")] = None,
    *,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Messages at most.")] = 10_000,
    dry_run: Annotated[bool, typer.Option(help="Tell what would become of them.")] = False,
    why: WhyOption = None,
) -> None:
    """Put refused messages through today's pipeline, as of the time they were received.

    What is refused again stays, under its new reason.
    """
    args: dict[str, Any] = {
        "ids": [str(each) for each in reject] if reject else None,
        **{"reason": reason, "source": source, "device": device},
        **{"from": _iso(start), "to": _iso(end), "limit": limit, "dry_run": dry_run},
    }
    task.show(task.do("redrive", lambda _: args, site=site, why=why).result or {})


def _iso(moment: datetime | None) -> str | None:
    aware = in_utc(moment)
    return aware.isoformat() if aware else None


def _readable(raw: bytes) -> str:
    """Text as it is, unless it could steer a terminal; else hex."""
    try:
        said = raw.decode()
    except UnicodeDecodeError:
        return raw.hex(" ")
    steers = any(not each.isprintable() and each not in string.whitespace for each in said)
    return raw.hex(" ") if steers else said


_JOINED: Final = """
    FROM rejected
    LEFT JOIN source ON source.id = rejected.source_id
    LEFT JOIN site ON site.id = source.site_id
    LEFT JOIN device ON device.id = rejected.device_id
"""
_CHOSEN: Final = f"""
    {_JOINED}
    WHERE (CAST(:reason AS text) IS NULL OR reason = :reason)
      AND (CAST(:site AS text) IS NULL OR site.key = :site)
      AND (CAST(:source AS text) IS NULL OR source.key = :source)
      AND (CAST(:device AS text) IS NULL OR device.key = :device)
      AND (CAST(:about AS text) IS NULL
           OR strpos(lower(topic), :about) > 0 OR strpos(lower(detail), :about) > 0)
      AND received_at >= COALESCE(CAST(:start AS timestamptz), '-infinity')
      AND received_at < COALESCE(CAST(:end AS timestamptz), 'infinity')
"""
_SHOWN: Final = """
    reject_id, received_at, site.key AS site, source.key AS source, device.key AS device, scope,
    reason, detail, topic, uplink_id
"""
_COUNTED: Final = text(f"""
    SELECT reason, scope, count(*) AS n {_CHOSEN} GROUP BY 1, 2 ORDER BY n DESC, 1
""")
_LISTED: Final = text(f"""
    SELECT {_SHOWN} {_CHOSEN} ORDER BY received_at DESC, reject_id DESC LIMIT :limit
""")
_ONE: Final = text(f"SELECT {_SHOWN}, payload {_JOINED} WHERE reject_id = CAST(:id AS uuid)")
