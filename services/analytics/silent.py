"""Job `silent`: a finding for each device that has stopped sending, until it speaks again.

A judgement of the present: gaps that were over before anybody looked are what data completeness
and meter gaps are for. Late data may still undo or shorten what was found. Battery and link do not
count: a network server asks for them at its own pace, also of a device whose sensor is dead.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from services.analytics import findings, follow, local_time
from services.analytics.findings import Found, Standing
from services.analytics.methods.silence import silences
from services.analytics.outcomes.exposure import Device, devices, served
from services.analytics.present import by_clock, present
from services.analytics.runner import Job, Progress, Slice
from shared.domain.property import HEALTH

KIND: Final = "silent"
LABEL: Final = "Device is silent"
SEVERITY: Final = "warning"
INTERVALS: Final = 3
FLOOR_S: Final = 300.0  # radio and network servers pause for minutes without anything being wrong
# A pilot whose present moves through its past, while that is filled in, is not judged.
LIVE: Final = timedelta(minutes=10)
SETTLED: Final = timedelta(minutes=1)

_PILOTS: Final = text("SELECT id, origin FROM pilot ORDER BY id")
_NEWEST: Final = text("""
    SELECT device.id, max(latest.time) AS newest
    FROM device JOIN datastream ON datastream.device_id = device.id
    CROSS JOIN LATERAL (
        SELECT time FROM reading WHERE datastream_id = datastream.id ORDER BY time DESC LIMIT 1
    ) AS latest
    WHERE device.pilot_id IS NOT NULL AND datastream.derived_by IS NULL
      AND NOT datastream.property = ANY(CAST(:health AS text[]))
    GROUP BY device.id
""")
_STANDING: Final = text("""
    WITH touched AS (
        SELECT device_id, min(cell.hour) AS hour
        FROM unnest(CAST(:ids AS int[]), CAST(:hours AS timestamptz[])) AS cell(id, hour)
        JOIN datastream ON datastream.id = cell.id
        GROUP BY device_id
    )
    SELECT finding.* FROM finding LEFT JOIN touched ON touched.device_id = finding.device_id
    WHERE finding.device_id IS NOT NULL AND kind = :kind AND withdrawn_at IS NULL
      AND (ended_at IS NULL OR ended_at >= touched.hour)
    ORDER BY started_at, id
""")
_HEARD: Final = text("""
    SELECT DISTINCT part.id, CAST(extract(epoch FROM found.time) AS float8) AS time
    FROM unnest(CAST(:ids AS bigint[]), CAST(:devices AS int[]), CAST(:starts AS timestamptz[]),
                CAST(:stops AS timestamptz[])) AS part(id, device, start, stop)
    JOIN datastream ON datastream.device_id = part.device
    CROSS JOIN LATERAL (
        SELECT time FROM reading
        WHERE datastream_id = datastream.id AND time >= part.start AND time <= part.stop
        ORDER BY time
    ) AS found
    WHERE derived_by IS NULL AND NOT property = ANY(CAST(:health AS text[]))
    ORDER BY part.id, time
""")
# Where a whole pilot pauses, as car parks do at night, its own newest reading leaps: a device
# has been silent only when the others were heard meanwhile.
_OTHERS: Final = text("""
    SELECT count(DISTINCT
        floor(extract(epoch FROM found.time - CAST(:start AS timestamptz)) / :interval_s)
    )
    FROM device JOIN datastream ON datastream.device_id = device.id
    CROSS JOIN LATERAL (
        SELECT time FROM reading WHERE datastream_id = datastream.id AND time > :start
    ) AS found
    WHERE device.pilot_id = :pilot_id AND device.id <> :device AND derived_by IS NULL
      AND NOT property = ANY(CAST(:health AS text[]))
""")
_WITHDRAW: Final = text("""
    UPDATE finding SET withdrawn_at = now() WHERE id = ANY(CAST(:ids AS bigint[]))
""")
_KNOWN: Final = text("UPDATE finding SET announced = severity WHERE kind = :kind")


class Present(NamedTuple):
    """A pilot's present, and since when by the clock it has stood there."""

    moment: datetime
    since: datetime


class Watched(NamedTuple):
    """One device, the pilot it is in, and that pilot's present."""

    pilot_id: int
    origin: str
    device: Device
    now: datetime
    newest: datetime | None

    @property
    def limit_s(self) -> float | None:
        """How long it may be quiet; null: nobody knows how often it should send."""
        interval_s = self.device.interval_s
        return None if interval_s is None else max(INTERVALS * interval_s, FLOOR_S)


def work(connection: Connection, progress: Progress, now: datetime | None = None) -> Slice:
    """One slice: every device by its pilot's present, and those that late data touched.

    What is silent at the very first look is found, and counts as announced.
    """
    now = now or datetime.now(UTC)
    taken = follow.take(connection, follow.position(progress))
    presents = _presents(connection, progress, now)
    before = _standing(connection, taken.cells)
    watched = _watched(connection, presents)
    heard = _heard(connection, watched, before)
    for each in watched:
        own = before.pop((each.pilot_id, each.device.id), [])
        wanted = [found for old in own for found in _again(each, old, heard[old.id])]
        if not any(found.ended_at is None for found in wanted):
            judged = by_clock(each.origin) or _stands(presents[each.pilot_id], now)
            wanted += _begun(connection, each) if judged else []
        if wanted != [old.found for old in own]:
            findings.reconcile(
                connection,
                pilot_id=each.pilot_id,
                device_id=each.device.id,
                origin=each.origin,
                before=own,
                now=wanted,
            )
    _forget(connection, [old for own in before.values() for old in own])
    if not progress:
        connection.execute(_KNOWN, {"kind": KIND})
    kept = {
        str(number): [at.moment.isoformat(), at.since.isoformat()]
        for number, at in presents.items()
        if at.moment != now
    }
    return Slice({**taken.position._asdict(), "presents": kept}, taken.more)


def _presents(connection: Connection, progress: Progress, now: datetime) -> dict[int, Present]:
    kept = progress.get("presents", {})
    presents: dict[int, Present] = {}
    for pilot in connection.execute(_PILOTS).all():
        moment = present(connection, pilot.id, pilot.origin, now)
        if moment is not None:
            stood = kept.get(str(pilot.id), ["", ""])
            same = stood[0] == moment.isoformat()
            presents[pilot.id] = Present(moment, datetime.fromisoformat(stood[1]) if same else now)
    return presents


def _stands(at: Present, now: datetime) -> bool:
    return at.moment >= now - LIVE or at.since <= now - SETTLED


def _watched(connection: Connection, presents: dict[int, Present]) -> list[Watched]:
    rows = connection.execute(_NEWEST, {"health": [*HEALTH]})
    newest = {row.id: row.newest for row in rows}
    watched = []
    for pilot in connection.execute(_PILOTS).all():
        for each in devices(connection, pilot.id) if pilot.id in presents else ():
            # A clock may be minutes ahead of ours: what it says was said all the same.
            heard = newest.get(each.id)
            moment = max(presents[pilot.id].moment, heard or datetime.min.replace(tzinfo=UTC))
            watched.append(Watched(pilot.id, pilot.origin, each, moment, heard))
    return watched


def _standing(
    connection: Connection, cells: Collection[follow.Cell]
) -> dict[tuple[int, int], list[Standing]]:
    """By pilot and device: what is open, and what ended but was touched since."""
    ids, hours = [cell[0] for cell in cells], [cell[1] for cell in cells]
    rows = connection.execute(_STANDING, {"kind": KIND, "ids": ids, "hours": hours})
    standing: dict[tuple[int, int], list[Standing]] = defaultdict(list)
    for row in rows:
        found = Found(row.kind, row.severity, row.started_at, row.ended_at, row.evidence)
        standing[row.pilot_id, row.device_id].append(Standing(row.id, found))
    return standing


def _heard(
    connection: Connection,
    watched: Sequence[Watched],
    standing: Mapping[tuple[int, int], Sequence[Standing]],
) -> dict[int, list[float]]:
    """When each device spoke (s since 1970, ascending) within each finding about it, by its id."""
    spans = [
        (old.id, each.device.id, old.found.started_at, old.found.ended_at or each.now)
        for each in watched
        for old in standing.get((each.pilot_id, each.device.id), ())
    ]
    heard: dict[int, list[float]] = defaultdict(list)
    if spans:
        ids, numbers, starts, stops = zip(*spans, strict=True)
        scope = {"ids": [*ids], "devices": [*numbers], "starts": [*starts], "stops": [*stops]}
        for row in connection.execute(_HEARD, {**scope, "health": [*HEALTH]}):
            heard[row.id].append(row.time)
    return heard


def _again(each: Watched, old: Standing, heard: Sequence[float]) -> list[Found]:
    """What is left of a finding by what has been heard in it."""
    found = old.found
    if each.limit_s is None:
        return [found] if found.ended_at else []
    stop = found.ended_at or each.now
    return _gaps(each, heard, found.started_at, stop, ended=found.ended_at is not None)


def _begun(connection: Connection, each: Watched) -> list[Found]:
    """The silence a device is in now, if any."""
    since = each.newest or (each.device.commissioned and local_time.at(each.device.commissioned))
    if each.limit_s is None or not since:
        return []
    gaps = _gaps(each, [], since, each.now, ended=False)
    begun = [found for found in gaps if found.ended_at is None]
    return begun if not begun or _others_spoke(connection, each, begun[0].started_at) else []


def _others_spoke(connection: Connection, each: Watched, start: datetime) -> bool:
    if by_clock(each.origin):
        return True
    scope = {
        "pilot_id": each.pilot_id,
        "device": each.device.id,
        "interval_s": each.device.interval_s,
        "start": start,
        "health": [*HEALTH],
    }
    return (connection.scalar(_OTHERS, scope) or 0) >= INTERVALS


def _gaps(
    each: Watched, heard: Sequence[float], start: datetime, stop: datetime, *, ended: bool
) -> list[Found]:
    """Silences within start … stop while the device was in service; `ended`: it spoke at stop."""
    assert each.limit_s is not None
    device, until = each.device, stop.timestamp()
    spans = served(
        max(start.timestamp(), device.commissioned or 0.0),
        until if device.cancelled is None else min(until, device.cancelled),
        device.maintenance,
    )
    return [
        Found(
            KIND,
            SEVERITY,
            local_time.at(gap.start),
            local_time.at(gap.end) if ended or gap.end < until or until in heard else None,
            {"interval_s": device.interval_s, "limit_s": each.limit_s},
        )
        for gap in silences(heard, spans, each.limit_s)
    ]


def _forget(connection: Connection, left: Sequence[Standing]) -> None:
    """Withdraw what is open about devices that are no longer in that pilot."""
    ids = [old.id for old in left if old.found.ended_at is None]
    if ids:
        connection.execute(_WITHDRAW, {"ids": ids})


JOB: Final = Job("silent", work, calm=True, periods=1)
