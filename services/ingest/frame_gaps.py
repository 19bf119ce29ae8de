"""Frame counters that never arrived: counted when a later frame does, taken back when they come.

Frames of a device stand in the order of their own time, so the count does not depend on the order
of arrival, and each gap belongs to the hour in which the frame after it was received. Only what a
new frame changes is added or taken away: what was counted stays when raw uplinks are removed. Old
frames that are sent once more after that, but the newest, are counted anew: nobody knows them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from services.ingest import binary
from services.ingest.rejects import Counts
from services.ingest.uplink import NO_ID

KIND: Final = "frame_gap"
SIZES: Final = (2**16, 2**32)  # where a counter begins anew at 0
ROLLED_OVER: Final = 1024  # the most frames from one side of that to the other
OVERTAKEN: Final = 16  # frames that a frame may come after, though it was sent before them ...
OVERTAKING: Final = 10 * 10**6  # µs: ... within this, since gateways' clocks differ


class Frame(NamedTuple):
    """One uplink of a device, in the order of its own time, microseconds since 2000; counter None:
    a join, 0 is next."""

    at: int
    order: int
    id: bytes
    source_id: int
    hour: datetime

    @property
    def place(self) -> tuple[int, int, bytes]:
        """Where it stands among the frames of its device."""
        return self[:3]

    @property
    def counter(self) -> int | None:
        return self.order if self.order >= 0 else None


def missing(before: Frame | None, after: Frame) -> int:
    """Frames between two neighbours that were never stored; negative for one that was overtaken,
    which was counted as missing before.

    None are known to be missing before the first frame of all, after a join or a new start.
    """
    if before is None or before.counter is None or after.counter is None:
        return 0
    step = after.counter - before.counter
    if step > 0:
        return step - 1
    for size in SIZES:
        if before.counter < size and 0 < step + size <= ROLLED_OVER:
            return step + size - 1
    overtaken = -OVERTAKEN <= step < 0 and after.at - before.at <= OVERTAKING
    return step - 1 if overtaken and after.counter > 1 else 0  # at 0 or 1 devices start anew


def count(
    cursor: psycopg.Cursor,
    stored: Iterable[tuple[int, Frame]],
    remembered: Mapping[int, Frame],
) -> tuple[Counts, dict[int, Frame]]:
    """What newly stored uplinks change in the ledger, and the newest frames, to be remembered after
    the commit. Holds their devices until then, so that of two workers the second sees the frames
    of the first; what another has written since makes that device count from what is stored."""
    frames = _by_device(stored)
    if not frames:
        return {}, {}
    counts: Counts = {}
    before = {device_id: remembered.get(device_id) for device_id in frames}
    if None in before.values():
        before = _hold(cursor, sorted(frames))
    newest = _follow(cursor, counts, frames, before)
    if len(newest) < len(frames):
        moved = frames.keys() - newest.keys()
        others = {device_id: frames[device_id] for device_id in moved}
        newest |= _follow(cursor, counts, others, _hold(cursor, sorted(moved)))
    return {cell: n for cell, n in counts.items() if n}, newest


def _follow(
    cursor: psycopg.Cursor,
    counts: Counts,
    frames: Mapping[int, Sequence[Frame]],
    before: Mapping[int, Frame | None],
) -> dict[int, Frame]:
    """Count the frames after those before them; returns the newest of each device, without those
    before which another frame stands by now: of them nothing is counted."""
    newest = {id_: _later(before[id_], own[-1]) for id_, own in frames.items()}
    for device_id in _keep(cursor, before, newest):
        del newest[device_id]
    late: dict[int, list[Frame]] = {}
    for device_id in newest:
        last = before[device_id]
        for frame in frames[device_id]:
            if last is None or _follows(frame, last):
                if n := missing(last, frame):
                    _add(counts, device_id, frame, n)
                last = frame
            elif frame.place < last.place:  # the newest itself, once pruned, may come again
                late.setdefault(device_id, []).append(frame)
    for device_id, placed in _neighbours(cursor, late):
        _insert(counts, device_id, placed, newest[device_id])
    return newest


def _by_device(stored: Iterable[tuple[int, Frame]]) -> dict[int, list[Frame]]:
    found: dict[int, list[Frame]] = {}
    for device_id, frame in stored:
        found.setdefault(device_id, []).append(frame)
    for own in found.values():
        own.sort()
    return found


def _add(counts: Counts, device_id: int, frame: Frame, n: int) -> None:
    cell = (frame.source_id, device_id, frame.hour, KIND)
    counts[cell] = counts.get(cell, 0) + n


Placed = Mapping[Frame, tuple[Frame | None, Frame | None]]


def _insert(counts: Counts, device_id: int, placed: Placed, newest: Frame) -> None:
    """Put frames between those stored before: gaps are divided, or begin earlier."""
    for first, (before, _) in placed.items():
        if before in placed:
            continue  # it follows another new one, which comes to it
        last: Frame | None = before
        frame = first
        while frame in placed:
            _add(counts, device_id, frame, missing(last, frame))
            # Of those that follow, all but the newest may be kept no more.
            last, frame = frame, placed[frame][1] or newest
        if last is None or frame > last:
            _add(counts, device_id, frame, missing(last, frame) - missing(before, frame))


def _later(one: Frame | None, other: Frame) -> Frame:
    return other if one is None or _follows(other, one) else one


def _follows(frame: Frame, last: Frame) -> bool:
    """Whether its place is behind: nearly always the times tell."""
    return frame.at > last.at or (frame.at == last.at and frame.place > last.place)


def _hold(cursor: psycopg.Cursor, devices: Sequence[int]) -> dict[int, Frame | None]:
    """The newest frame of each, locked in the order of their ids."""
    cursor.execute(_HOLD, [devices])
    found = {row[0]: _frame(row[1:]) for row in cursor}
    if len(found) < len(devices):  # heard for the first time
        cursor.execute(_BEGIN, [devices])
        cursor.execute(_HOLD, [devices])
        found = {row[0]: _frame(row[1:]) for row in cursor}
    return found


def _keep(
    cursor: psycopg.Cursor, before: Mapping[int, Frame | None], newest: Mapping[int, Frame]
) -> list[int]:
    """Lock each device in the order of their ids, and write its newest frame where the one before
    it still stands; returns those where another does."""
    at, order, ids, sources, hours = zip(*newest.values(), strict=True)
    cut = {hour: binary.micros(hour) for hour in set(hours)}
    columns = (
        binary.ints([*newest]),
        binary.moments(at),
        binary.longs(order),
        binary.ids(ids),
        binary.ints(sources),
        binary.moments([cut[hour] for hour in hours]),
        binary.ids([was.id if (was := before[id_]) else NO_ID for id_ in newest]),
    )
    return [device_id for (device_id,) in cursor.execute(_KEEP, columns)]


def _neighbours(
    cursor: psycopg.Cursor, late: Mapping[int, Sequence[Frame]]
) -> Iterator[tuple[int, Placed]]:
    """Each late frame with the one before and the one after it, by device."""
    if not late:
        return
    rows = [(device, i, *frame[:3]) for device, own in late.items() for i, frame in enumerate(own)]
    devices, places, at, order, ids = zip(*rows, strict=True)
    columns = binary.ints(devices), binary.ints(places), binary.moments(at), binary.longs(order)
    cursor.execute(_NEIGHBOURS, [*columns, binary.ids(ids)])
    placed: dict[int, dict[Frame, tuple[Frame | None, Frame | None]]] = {}
    for device_id, i, *told in cursor.fetchall():
        both = (_frame(told[:5]), _frame(told[5:]))
        placed.setdefault(device_id, {})[late[device_id][i]] = both
    yield from placed.items()


def _frame(row: Sequence[Any]) -> Frame | None:
    at, order, id_, source_id, hour = row
    return None if at is None else Frame(binary.micros(at), order, id_.bytes, source_id, hour)


_HOLD: Final = """
    SELECT device_id, at, f_cnt, uplink_id, source_id, hour FROM frame_newest
    WHERE device_id = ANY(%s) ORDER BY device_id FOR UPDATE
"""
_BEGIN: Final = """
    INSERT INTO frame_newest (device_id) SELECT * FROM unnest(%s::int[]) AS id ORDER BY id
    ON CONFLICT DO NOTHING
"""
_NONE: Final = UUID(bytes=NO_ID)
_KEEP: Final = f"""
    WITH told AS (
        SELECT * FROM unnest(%s, %s, %s, %s, %s, %s, %s)
                      AS told (device_id, at, f_cnt, uplink_id, source_id, hour, follows)
    ), kept AS (
        INSERT INTO frame_newest (device_id, at, f_cnt, uplink_id, source_id, hour, follows)
        SELECT device_id, at, f_cnt, uplink_id, source_id, hour, nullif(follows, '{_NONE}')
        FROM told ORDER BY device_id
        ON CONFLICT (device_id) DO UPDATE SET
            at = excluded.at, f_cnt = excluded.f_cnt, uplink_id = excluded.uplink_id,
            source_id = excluded.source_id, hour = excluded.hour, follows = excluded.follows
        WHERE frame_newest.uplink_id IS NOT DISTINCT FROM excluded.follows
        RETURNING device_id
    )
    SELECT device_id FROM told WHERE device_id NOT IN (SELECT device_id FROM kept)
"""
_COLUMNS: Final = """
    observed_at, coalesce(f_cnt, -1) AS f_cnt, uplink_id, source_id,
    date_trunc('hour', received_at, 'UTC') AS hour
"""
_ORDER: Final = "(observed_at, coalesce(f_cnt, -1), uplink_id)"
# The bound on observed_at alone lets the index find the place.
_NEIGHBOURS: Final = f"""
    SELECT new.device_id, new.i, before.*, after.*
    FROM unnest(%s, %s, %s, %s, %s)
         AS new (device_id, i, at, f_cnt, uplink_id)
    LEFT JOIN LATERAL (
        SELECT {_COLUMNS} FROM uplink
        WHERE device_id = new.device_id AND observed_at <= new.at
          AND (f_cnt IS NOT NULL OR event = 'join')
          AND {_ORDER} < (new.at, new.f_cnt, new.uplink_id)
        ORDER BY observed_at DESC, coalesce(uplink.f_cnt, -1) DESC, uplink.uplink_id DESC LIMIT 1
    ) AS before ON true
    LEFT JOIN LATERAL (
        SELECT {_COLUMNS} FROM uplink
        WHERE device_id = new.device_id AND observed_at >= new.at
          AND (f_cnt IS NOT NULL OR event = 'join')
          AND {_ORDER} > (new.at, new.f_cnt, new.uplink_id)
        ORDER BY observed_at, coalesce(uplink.f_cnt, -1), uplink.uplink_id LIMIT 1
    ) AS after ON true
"""
