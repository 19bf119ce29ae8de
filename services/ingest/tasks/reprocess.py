"""Task `reprocess`: decode kept uplinks again, and replace the readings that come out otherwise.

Old values are copied to `reading_superseded` under the task's id, in the same slice in which they
are deleted and inserted: one datastream and a few thousand times. What an uplink was never kept
for, and what is refused today, stays as it is.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from services.ingest import binary
from services.ingest.decoded_again import Decoded, decode
from services.ingest.task import Desk, Kind, Result, Task, Unusable
from services.ingest.uplink import identity
from shared.db import change

TIMES: Final = 5_000  # of one datastream in a slice
OUTCOMES: Final = ("changed", "added", "removed", "equal")
_LAST: Final = 2**31 - 1


class Place(NamedTuple):
    """How far a task is: slices up to this one are done."""

    device_id: int = 0
    datastream_id: int = 0
    slice: int = 0


def run(desk: Desk, task: Task) -> Result:
    """Every chosen device, one after the other, in the order of their ids."""
    for name in (*OUTCOMES, "uplinks"):
        task.progress.setdefault(name, 0)
    task.progress.setdefault("refused", {})
    devices = _devices(desk, task)
    for device_id in devices:
        if Place(device_id, _LAST) > _place(task):
            _device(desk, task, device_id)
    told = {name: value for name, value in task.progress.items() if name != "place"}
    return {"devices": len(devices), **told, "dry_run": task.args.get("dry_run", False)}


def _device(desk: Desk, task: Task, device_id: int) -> None:
    start, end = (_moment(task.args.get(name)) for name in ("from", "to"))
    dry = bool(task.args.get("dry_run", False))
    decoded = decode(desk, device_id, start, end, add=not dry)
    streams = [row[0] for row in desk.registry.execute(_STREAMS, [device_id])]
    for datastream_id, number in _slices(streams, decoded):
        here = Place(device_id, datastream_id, number)
        if here <= _place(task):
            continue
        with desk.slice(task) as connection:
            told = _compare(connection, datastream_id, decoded.window(datastream_id, number, TIMES))
            if not dry:
                _rewrite(connection, desk, task, datastream_id, told)
            for outcome in OUTCOMES:
                task.progress[outcome] += sum(each.outcome == outcome for each in told)
            task.progress["place"] = here
    with desk.slice(task) as connection:
        if not dry:
            _forget_unmapped(connection, desk, device_id)
        task.progress["uplinks"] += decoded.uplinks
        for reason, n in decoded.refused.items():
            task.progress["refused"][reason] = task.progress["refused"].get(reason, 0) + n
        task.progress["place"] = Place(device_id, _LAST)


def _slices(streams: list[int], decoded: Decoded) -> Iterator[tuple[int, int]]:
    count = -(-len(decoded.covered) // TIMES)
    return ((stream, number) for stream in streams for number in range(1, count + 1))


class Told(NamedTuple):
    """What becomes of one time of a datastream."""

    time: datetime
    value: float | None
    quality: int | None
    outcome: str


def _compare(
    connection: psycopg.Connection, datastream_id: int, window: list[tuple[Any, ...]]
) -> list[Told]:
    """The times at which something is stored, or has to be."""
    times, values, qualities = (list(column) for column in zip(*window, strict=True))
    rows = connection.execute(
        _COMPARE,
        {
            **{"times": times, "values": values, "qualities": qualities},
            **{"datastream": datastream_id, "first": times[0], "last": times[-1]},
        },
    )
    return [Told(*row) for row in rows]


def _rewrite(
    connection: psycopg.Connection, desk: Desk, task: Task, datastream_id: int, told: list[Told]
) -> None:
    away = [each.time for each in told if each.outcome in ("changed", "removed")]
    new = [each for each in told if each.outcome in ("changed", "added")]
    if not away and not new:
        return
    if desk.rewriting:
        connection.execute(desk.rewriting)
    if away:
        where = {"datastream": datastream_id, "times": away, "first": away[0], "last": away[-1]}
        connection.execute(_SUPERSEDE, {**where, "revision": task.id})
        connection.execute(_DELETE, where)
    if new:
        columns = [[each[i] for each in new] for i in range(3)]
        connection.execute(_INSERT, [datastream_id, *columns])
    touched = sorted({*away, *(each.time for each in new)})
    cells = connection.execute(_HOURS, [touched, datastream_id]).fetchall()
    connection.execute(change.RECORD, [[datastream_id] * len(cells), [row[0] for row in cells]])


def _forget_unmapped(connection: psycopg.Connection, desk: Desk, device_id: int) -> None:
    """A field that has its property by now is a fault no longer."""
    device = next((each for each in desk.fleet.devices.values() if each.id == device_id), None)
    names = device.targets if device else ()
    ids = [identity(f"device:{device_id}", f"unmapped:{name}") for name in names]
    connection.execute("DELETE FROM rejected WHERE reject_id = ANY(%s)", [binary.ids(ids)])


def _devices(desk: Desk, task: Task) -> list[int]:
    args = task.args
    if bool(args.get("device")) == bool(args.get("profile")):
        raise Unusable("give a device or a profile")
    chosen = {name: args.get(name) for name in ("device", "profile")}
    rows = desk.registry.execute(_DEVICES, {**chosen, "site_id": task.site_id}).fetchall()
    if not rows:
        raise Unusable(f"no device of {args.get('device') or args.get('profile')!r} at this site")
    if len({site_id for _, site_id in rows}) > 1:
        raise Unusable("several sites have one of this name: say which site")
    return [device_id for device_id, _ in rows]


def _place(task: Task) -> Place:
    return Place(*task.progress.get("place", ()))


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


_DEVICES: Final = """
    SELECT device.id, device.site_id FROM device
    LEFT JOIN profile ON profile.id = device.profile_id
    WHERE (%(site_id)s::int IS NULL OR device.site_id = %(site_id)s)
      AND (device.key = %(device)s OR profile.key = %(profile)s)
    ORDER BY device.id
"""
_STREAMS: Final = """
    SELECT id FROM datastream WHERE device_id = %s AND derived_by IS NULL ORDER BY id
"""
_COMPARE: Final = """
    WITH wanted AS MATERIALIZED (
        SELECT * FROM unnest(%(times)s::timestamptz[], %(values)s::float8[], %(qualities)s::int2[])
                      AS given (time, value, quality)
    ), old AS MATERIALIZED (
        SELECT time, value, quality FROM reading
        WHERE datastream_id = %(datastream)s AND time BETWEEN %(first)s AND %(last)s
    )
    SELECT time, wanted.value, wanted.quality,
           CASE WHEN wanted.value IS NULL THEN 'removed'
                WHEN old.value IS NULL THEN 'added'
                WHEN wanted.quality <> old.quality OR abs(wanted.value - old.value)
                     > 1e-9 * greatest(abs(wanted.value), abs(old.value)) THEN 'changed'
                ELSE 'equal' END
    FROM wanted LEFT JOIN old USING (time)
    WHERE wanted.value IS NOT NULL OR old.value IS NOT NULL
    ORDER BY time
"""
_THESE: Final = """
    datastream_id = %(datastream)s AND time BETWEEN %(first)s AND %(last)s
    AND time = ANY(%(times)s)
"""
_SUPERSEDE: Final = f"""
    INSERT INTO reading_superseded (revision, datastream_id, time, value, quality)
    SELECT %(revision)s, datastream_id, time, value, quality FROM reading WHERE {_THESE}
    ON CONFLICT DO NOTHING
"""
_DELETE: Final = f"DELETE FROM reading WHERE {_THESE}"
_INSERT: Final = """
    INSERT INTO reading (datastream_id, time, value, quality)
    SELECT %s, * FROM unnest(%s::timestamptz[], %s::float8[], %s::int2[])
    ON CONFLICT DO NOTHING
"""
_HOURS: Final = """
    SELECT DISTINCT date_trunc('hour', touched, site.zone) AS hour
    FROM unnest(%s::timestamptz[]) AS touched, datastream
    JOIN device ON device.id = datastream.device_id
    JOIN site ON site.id = device.site_id
    WHERE datastream.id = %s ORDER BY hour
"""
REPROCESS: Final = Kind("reprocess", run)
