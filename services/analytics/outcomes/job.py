"""Job `outcomes`: compute the metrics of every window that closed or was re-opened."""

import hashlib
import json
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from math import inf
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from services.analytics import follow, local_time, present
from services.analytics.outcomes import arrivals, exposure, values, windows
from services.analytics.outcomes.exposure import Device, Exposure
from services.analytics.outcomes.metric import metrics
from services.analytics.runner import Job, Progress, Slice

AT_ONCE: Final = 31  # window ends of one pilot, fewer of a large one
DEVICE_DAYS: Final = 2_000  # that many take a second or two
SLICE_S: Final = 1.0

Spans = dict[int, tuple[datetime, datetime]]

_ROLLED_UP: Final = text("SELECT progress FROM job WHERE name = 'rollup'")
_OWNERS: Final = text("""
    SELECT datastream.id, device.pilot_id
    FROM datastream JOIN device ON device.id = datastream.device_id
    WHERE datastream.id = ANY(CAST(:ids AS int[])) AND device.pilot_id IS NOT NULL
      AND datastream.derived_by IS NULL
""")
_PILOTS: Final = text("""
    SELECT pilot.id, pilot.phase, pilot.origin, site.zone, cell.first, cell.last
    FROM pilot JOIN site ON site.id = pilot.site_id
    CROSS JOIN LATERAL (
        SELECT min(ends.first) AS first, max(ends.last) AS last
        FROM device JOIN datastream ON datastream.device_id = device.id
        CROSS JOIN LATERAL (
            SELECT (SELECT hour FROM reading_hourly WHERE datastream_id = datastream.id
                    ORDER BY hour LIMIT 1) AS first,
                   (SELECT hour FROM reading_hourly WHERE datastream_id = datastream.id
                    ORDER BY hour DESC LIMIT 1) AS last
        ) AS ends
        WHERE device.pilot_id = pilot.id AND datastream.derived_by IS NULL
    ) AS cell
    ORDER BY pilot.id
""")


def work(connection: Connection, progress: Progress, now: datetime | None = None) -> Slice:
    """One slice. Follows `change` no further than the roll-up, from which it computes.

    Windows of measured pilots close by the clock, others by their own newest reading.
    """
    rolled_up = follow.position(connection.scalar(_ROLLED_UP) or {})
    start = follow.position(progress)
    taken = follow.take(connection, start, until=rolled_up)
    touched = _touched(connection, taken.cells)
    kept: dict[str, Any] = progress.get("pilots", {})
    until = time.monotonic() + SLICE_S
    pilots, more = {}, taken.more
    for pilot in connection.execute(_PILOTS).all():
        members = exposure.devices(connection, pilot.id)
        ledger = _owed(
            windows.Ledger.of(kept.get(str(pilot.id), {})),
            pilot,
            members,
            touched.get(pilot.id),
            now or datetime.now(UTC),
        )
        # While changes wait, most windows would be computed again: versions nobody needs.
        while ledger.redo and not taken.more and time.monotonic() < until:
            ends, ledger = windows.part(ledger, _at_once(len(members)))
            assert ends is not None
            compute(connection, pilot, members, *ends)
        more = more or ledger.redo is not None
        pilots[str(pilot.id)] = ledger.stored()
    return Slice({**taken.position._asdict(), "pilots": pilots}, more)


def _at_once(devices: int) -> int:
    return min(AT_ONCE, max(1, DEVICE_DAYS // max(1, devices)))


def compute(
    connection: Connection,
    pilot: Row[Any],
    members: tuple[Device, ...],
    first: date,
    last: date,
) -> int:
    """Compute every window of one pilot that ends first … last; returns the values written."""
    start = first - timedelta(days=_longest())
    seen = exposure.load(connection, members, start, last, pilot.zone)
    seen = _with_arrivals(connection, pilot, seen)
    kept_from = _kept_from(connection, pilot, seen)
    computed: list[values.Value] = []
    for end in range(_longest(), len(seen.midnights)):
        for metric in metrics().values():
            for days in metric.windows_days:
                if not metric.of_uplinks or seen.midnights[end - days] >= kept_from:
                    computed.append(values.value(metric, seen.window(end - days, end)))
    return values.store(connection, pilot.id, pilot.phase, pilot.origin, computed)


def _with_arrivals(connection: Connection, pilot: Row[Any], seen: Exposure) -> Exposure:
    """With the messages of the days that metrics of uplinks are computed for."""
    if pilot.origin == "recorded":
        return replace(seen, replayed=True)
    reach = [days for each in metrics().values() if each.of_uplinks for days in each.windows_days]
    if not reach:
        return seen
    first = float(seen.midnights[_longest() - max(reach)])
    ids = [each.id for each in seen.devices]
    return replace(seen, arrivals=arrivals.load(connection, ids, first, seen.end))


def _kept_from(connection: Connection, pilot: Row[Any], seen: Exposure) -> float:
    """From when on (s since 1970) every uplink is there: always, where the first rolled-up hour
    still has its own."""
    if seen.replayed or pilot.first is None:
        return -inf
    ids = [each.id for each in seen.devices]
    return arrivals.complete_from(connection, ids, pilot.first.timestamp() + exposure.HOUR_S)


def _owed(
    ledger: windows.Ledger,
    pilot: Row[Any],
    members: tuple[Device, ...],
    touched: tuple[datetime, datetime] | None,
    now: datetime,
) -> windows.Ledger:
    # Only as far as is rolled up: a window must not close before its last hours are counted.
    newest = now if present.by_clock(pilot.origin) else pilot.last
    begins = [local_time.at(each.due) for each in members if each.due is not None]
    begins += [pilot.first] if pilot.first else []
    if newest is None or not begins:
        return ledger  # nothing planned and nothing heard: no window can close
    return windows.owe(
        ledger,
        registry=_registry(members),
        touched=touched,
        born=local_time.local_date(min(begins), pilot.zone) + timedelta(days=1),
        closed_to=local_time.local_date(newest, pilot.zone),
        longest=_longest(),
        zone=pilot.zone,
    )


def _touched(connection: Connection, cells: set[follow.Cell]) -> Spans:
    """First and last touched hour of each pilot."""
    if not cells:
        return {}
    ids = sorted({cell[0] for cell in cells})
    owner = {row.id: row.pilot_id for row in connection.execute(_OWNERS, {"ids": ids})}
    spans: Spans = {}
    for datastream_id, hour in cells:
        pilot = owner.get(datastream_id)
        if pilot is not None:
            first, last = spans.get(pilot, (hour, hour))
            spans[pilot] = min(first, hour), max(last, hour)
    return spans


def _registry(members: tuple[Device, ...]) -> str:
    """Changes when every window has to be computed again."""
    definitions = [[metric.key, metric.def_version] for metric in metrics().values()]
    said = json.dumps([definitions, [each._asdict() for each in members]], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _longest() -> int:
    return max(days for metric in metrics().values() for days in metric.windows_days)


JOB: Final = Job("outcomes", work, calm=True)
