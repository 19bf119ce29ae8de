"""Jobs `pilot:<kind>`: follow `change` and hand each pilot what was touched of it."""

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import structlog
from sqlalchemy import Connection, text

from services.analytics import follow
from services.analytics.pilot import Datastream, Pilot, PilotKind
from services.analytics.runner import Job, Progress, Slice, lost
from shared.errors import OperatorError

SLICE_S: Final = 1.0  # a longer transaction would hold every follower back
AT_ONCE: Final = 25
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)

Members = dict[Pilot, list[Datastream]]
log = structlog.get_logger()

_MEMBERS: Final = text("""
    SELECT pilot.id, pilot.key, site.key AS site, site.zone, pilot.origin, pilot.params,
           datastream.id AS datastream_id, device.id AS device_id, device.key AS device,
           datastream.property, datastream.channel
    FROM pilot
    JOIN site ON site.id = pilot.site_id
    JOIN device ON device.pilot_id = pilot.id
    JOIN datastream ON datastream.device_id = device.id
    WHERE pilot.kind = :kind AND datastream.derived_by IS NULL
      AND datastream.property = ANY(CAST(:observes AS text[]))
    ORDER BY pilot.id, datastream.id
""")


def job(kind: PilotKind) -> Job:
    """The job that keeps every pilot of `kind` up to date."""
    return Job(f"pilot:{kind.name}", lambda connection, progress: work(connection, progress, kind))


def work(connection: Connection, progress: Progress, kind: PilotKind) -> Slice:
    """One slice: read changes, then analyse what they touched for about a second.

    What is left over, and what failed, stays `owed` in the progress: one pilot with unusable
    params does not hold up the others.
    """
    taken = follow.take(connection, follow.position(progress))
    members = _members(connection, kind)
    seen = {str(pilot.id): _digest(pilot, own) for pilot, own in members.items()}
    owed = _owed(progress, members, seen, follow.earliest(taken.cells))
    errors, waiting = _analyse(connection, kind, members, owed)
    stored = {
        **taken.position._asdict(),
        "pilots": seen,
        "owed": {str(number): hour.isoformat() for number, hour in owed.items()},
    }
    return Slice(stored, taken.more or waiting, "; ".join(errors) or None)


def _owed(
    progress: Progress,
    members: Members,
    seen: Mapping[str, str],
    touched: Mapping[int, datetime],
) -> dict[int, datetime]:
    """The first hour to look at again, per datastream of these pilots."""
    before = {
        int(number): datetime.fromisoformat(hour)
        for number, hour in progress.get("owed", {}).items()
    }
    known = progress.get("pilots", {})
    owed: dict[int, datetime] = {}
    for pilot, own in members.items():
        anew = known.get(str(pilot.id)) != seen[str(pilot.id)]
        for datastream in own:
            hours = [each[datastream.id] for each in (before, touched) if datastream.id in each]
            if anew:  # new params, zone or devices: everything may be judged differently
                hours.append(BEGINNING)
            if hours:
                owed[datastream.id] = min(hours)
    return owed


def _analyse(
    connection: Connection, kind: PilotKind, members: Members, owed: dict[int, datetime]
) -> tuple[list[str], bool]:
    """Work `owed` off, removing what is done; returns what failed and whether time ran out."""
    until = time.monotonic() + SLICE_S
    errors: list[str] = []
    for pilot, own in members.items():
        due = [datastream for datastream in own if datastream.id in owed]
        while due:
            if time.monotonic() > until:
                return errors, True
            part, due = due[:AT_ONCE], due[AT_ONCE:]
            try:
                with connection.begin_nested():
                    kind.analyse(connection, pilot, {each: owed[each.id] for each in part})
            except Exception as error:
                if lost(error):
                    raise
                if not isinstance(error, OperatorError):
                    log.exception("analysis failed", kind=kind.name, pilot=pilot.key)
                errors.append(f"{pilot.key}: {type(error).__name__}: {error}")
                break
            for each in part:
                del owed[each.id]
    return errors, False


def _members(connection: Connection, kind: PilotKind) -> Members:
    members: Members = defaultdict(list)
    for row in connection.execute(_MEMBERS, {"kind": kind.name, "observes": list(kind.observes)}):
        pilot = Pilot(row.id, f"{row.site}/{row.key}", row.zone, row.origin, row.params)
        members[pilot].append(
            Datastream(row.datastream_id, row.device_id, row.device, row.property, row.channel)
        )
    return members


def _digest(pilot: Pilot, own: list[Datastream]) -> str:
    """Changes when the same readings would be judged differently."""
    said = [pilot.zone, dict(pilot.params), [(each.id, each.device) for each in own]]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
