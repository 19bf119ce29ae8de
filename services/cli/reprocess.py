"""`lab reprocess`: decode kept raw messages again, after a profile or a decoder was corrected."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from services.cli import task
from services.cli.acting import WhyOption
from services.cli.app import app
from services.cli.ledger import DeviceOption, FromOption, SiteOption, ToOption, in_utc
from shared.errors import OperatorError


@app.command()
def reprocess(
    device: DeviceOption = None,
    profile: Annotated[str | None, typer.Option("--profile", help="Key of a profile.")] = None,
    site: SiteOption = None,
    start: FromOption = None,
    end: ToOption = None,
    *,
    dry_run: Annotated[bool, typer.Option(help="Tell what would change.")] = False,
    why: WhyOption = None,
) -> None:
    """Decode the raw messages of a device, or of all of a profile, again; safe to repeat.

    Values that come out otherwise are replaced, and what they replace is kept. Times are those of
    observation; raw messages are kept for 90 days.
    """
    if (device is None) == (profile is None):
        raise OperatorError("lab reprocess: give --device KEY or --profile KEY")
    span = {"from": in_utc(start), "to": in_utc(end)}

    def args(_: Connection) -> Mapping[str, Any]:
        given = {name: moment and moment.isoformat() for name, moment in span.items()}
        return {"device": device, "profile": profile, **given, "dry_run": dry_run}

    task.show(task.do("reprocess", args, site=site, why=why).result or {})
