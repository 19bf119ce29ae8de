"""Jobs `pilot:<kind>`: follow `change` and the present, and hand each pilot what they touched."""

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import structlog
from sqlalchemy import Connection, text

from services.analytics import follow, series
from services.analytics.pilot import EVERY, Datastream, Pilot, PilotKind
from services.analytics.present import present
from services.analytics.runner import Job, Progress, Slice, lost
from shared.errors import OperatorError

SLICE_S: Final = 1.0  # a longer transaction would hold every follower back
AT_ONCE: Final = 25  # datastreams analysed together
LONG: Final = 4_000  # readings from which a datastream is analysed alone
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)

Hours = dict[int, datetime]
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
      AND (:every OR datastream.property = ANY(CAST(:observes AS text[])))
    ORDER BY pilot.id, datastream.id
""")


def job(kind: PilotKind) -> Job:
    """The job that keeps every pilot of `kind` up to date."""
    return Job(f"pilot:{kind.name}", lambda connection, progress: work(connection, progress, kind))


def work(
    connection: Connection, progress: Progress, kind: PilotKind, clock: datetime | None = None
) -> Slice:
    """One slice: read changes, then analyse what they and passing time touched for about a second.

    What is left over, and what failed, stays `owed` in the progress: one pilot with unusable
    params does not hold up the others.
    """
    taken = follow.take(connection, follow.position(progress))
    members = _members(connection, kind)
    owed = _owed(progress, members, follow.earliest(taken.cells))
    due = _due(progress, members)
    members = _at_present(connection, members, {*owed, *due}, clock or datetime.now(UTC))
    _pass(members, due, owed)
    errors, waiting = _analyse(connection, kind, members, owed, due)
    stored = {
        **taken.position._asdict(),
        "pilots": {str(pilot.id): _digest(pilot) for pilot in members},
        "datastreams": {str(pilot.id): [each.id for each in own] for pilot, own in members.items()},
        "owed": _written(owed),
        "due": _written(due),
    }
    return Slice(stored, taken.more or waiting, "; ".join(errors) or None)


def _owed(progress: Progress, members: Members, touched: Hours) -> Hours:
    """The first hour to look at again, per datastream of these pilots."""
    before = _read(progress.get("owed", {}))
    owed: Hours = {}
    for pilot, own in members.items():
        known = _known(progress, pilot, {each.id for each in own})
        for datastream in own:
            hours = [each[datastream.id] for each in (before, touched) if datastream.id in each]
            if datastream.id not in known:
                hours.append(BEGINNING)
            if hours:
                owed[datastream.id] = min(hours)
    return owed


def _due(progress: Progress, members: Members) -> Hours:
    """When to look at datastreams again that are still a pilot's."""
    numbers = {each.id for own in members.values() for each in own}
    due = _read(progress.get("due", {}))
    return {number: moment for number, moment in due.items() if number in numbers}


def _at_present(
    connection: Connection, members: Members, wanted: set[int], clock: datetime
) -> Members:
    """The same members, pilots with a wanted datastream knowing their present."""
    return {
        replace(pilot, present=present(connection, pilot.id, pilot.origin, clock))
        if any(each.id in wanted for each in own)
        else pilot: own
        for pilot, own in members.items()
    }


def _pass(members: Members, due: Hours, owed: Hours) -> None:
    """Add to `owed` what became due by the present of its pilot."""
    for pilot, own in members.items():
        for each in own:
            moment = due.get(each.id)
            if moment and pilot.present and moment <= pilot.present:
                owed[each.id] = min(moment, owed.get(each.id, moment))


def _known(progress: Progress, pilot: Pilot, own: set[int]) -> set[int]:
    """The datastreams judged before as they would be now: none after new params or zone, nor after
    one has left, with which the others were taken together and by which the present was."""
    known = set(progress.get("datastreams", {}).get(str(pilot.id), []))
    same = progress.get("pilots", {}).get(str(pilot.id)) == _digest(pilot)
    return known if same and known <= own else set()


def _analyse(
    connection: Connection, kind: PilotKind, members: Members, owed: Hours, due: Hours
) -> tuple[list[str], bool]:
    """Work `owed` off, removing what is done and renewing what is due; returns what failed and
    whether time ran out."""
    until = time.monotonic() + SLICE_S
    errors: list[str] = []
    progressed = False  # at least one part a slice, however slow the database is
    for pilot, own in members.items():
        mine = [each for each in own if each.id in owed]
        for part in [mine] if kind.whole and mine else _parts(connection, mine, owed):
            if progressed and time.monotonic() > until:
                return errors, True
            try:
                with connection.begin_nested():
                    touched = {each: owed[each.id] for each in part}
                    later = kind.analyse(connection, pilot, touched) or {}
            except Exception as error:
                if lost(error):
                    raise
                if not isinstance(error, OperatorError):
                    log.exception("analysis failed", kind=kind.name, pilot=pilot.key)
                errors.append(f"{pilot.key}: {type(error).__name__}: {error}")
                break
            progressed = True
            for each in part:
                del owed[each.id]
                due.pop(each.id, None)
            for number, moment in later.items():
                due[number] = min(moment, due.get(number, moment))
    return errors, False


def _parts(
    connection: Connection, due: Sequence[Datastream], owed: Hours
) -> Iterator[list[Datastream]]:
    """What is due in parts that each take a second or so: long histories come alone."""
    for first in range(0, len(due), AT_ONCE):
        some = due[first : first + AT_ONCE]
        rows = series.counts(connection, {each.id: owed[each.id] for each in some}, LONG)
        short = [each for each in some if rows[each.id] < LONG]
        if short:
            yield short
        yield from ([each] for each in some if rows[each.id] >= LONG)


def _members(connection: Connection, kind: PilotKind) -> Members:
    members: Members = defaultdict(list)
    observes = {"observes": list(kind.observes), "every": EVERY in kind.observes}
    for row in connection.execute(_MEMBERS, {"kind": kind.name, **observes}):
        pilot = Pilot(row.id, f"{row.site}/{row.key}", row.zone, row.origin, row.params)
        members[pilot].append(
            Datastream(row.datastream_id, row.device_id, row.device, row.property, row.channel)
        )
    return members


def _read(stored: Mapping[str, str]) -> Hours:
    return {int(number): datetime.fromisoformat(moment) for number, moment in stored.items()}


def _written(moments: Hours) -> dict[str, str]:
    return {str(number): moment.isoformat() for number, moment in moments.items()}


def _digest(pilot: Pilot) -> str:
    """Changes when the same readings would be judged differently."""
    said = json.dumps([pilot.zone, dict(pilot.params)], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]
