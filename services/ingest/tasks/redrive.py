"""Task `redrive`: put kept refusals through today's pipeline, as of the time they were received.

What is stored now is a reject no longer; what is refused again stays, under its new reason.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from services.ingest.block import utc_hour
from services.ingest.pipeline import Prepared
from services.ingest.rejects import Counts, count
from services.ingest.task import Desk, Kind, Result, Task
from services.ingest.uplink import Message, Refused

AT_ONCE: Final = 100  # messages in a slice: each may be as large as the broker lets through


class Kept(NamedTuple):
    """A refused message as it is kept."""

    reject_id: UUID
    received_at: datetime
    topic: str
    payload: bytes
    source_id: int
    device_id: int | None
    reason: str
    detail: str


def run(desk: Desk, task: Task) -> Result:
    """Every chosen refusal once, in the order of arrival."""
    for name, nothing in (("handled", 0), ("stored", 0), ("repeats", 0), ("refused", {})):
        task.progress.setdefault(name, nothing)
    most = task.args["limit"]
    while task.progress["handled"] < most and _step(
        desk, task, min(AT_ONCE, most - task.progress["handled"])
    ):
        pass
    told = {name: value for name, value in task.progress.items() if name != "after"}
    return {**told, "dry_run": task.args.get("dry_run", False)}


def _step(desk: Desk, task: Task, size: int, fault: psycopg.Error | None = None) -> bool:
    """One slice; returns whether there was anything. What the database refuses is found by going
    on one by one, and is refused again."""
    before = {**task.progress, "refused": {**task.progress["refused"]}}
    try:
        with desk.slice(task) as connection:
            kept = _next(connection, task, size)
            messages = [Message(k.topic, k.payload, k.received_at) for k in kept]
            batch = desk.prepare(messages, add=not task.args.get("dry_run", False))
            if fault:
                batch[0].refused = Refused("db_refused", str(fault).splitlines()[0])
                batch[0].uplink = None
            _redrive(desk, task, kept, batch)
            return bool(kept)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        if fault:
            raise
        task.progress = before
        return _step(desk, task, 1, error if size == 1 else None)


def _redrive(desk: Desk, task: Task, kept: Sequence[Kept], batch: Sequence[Prepared]) -> None:
    progress, dry = task.progress, task.args.get("dry_run", False)
    pairs = list(zip(kept, batch, strict=True))
    accepted = [(k, p) for k, p in pairs if p.refused is None]
    refused = [(k, p) for k, p in pairs if p.refused is not None]
    if dry:
        progress["stored"] += len(accepted)
    elif accepted:
        written = desk.write([p for _, p in accepted])
        progress["stored"] += written.stored
        progress["repeats"] += written.repeats
    if not dry:
        with desk.connection.cursor() as cursor:
            count(cursor, _settle(cursor, accepted, refused))
    for _, p in refused:
        reason = p.refused.reason if p.refused else ""
        progress["refused"][reason] = progress["refused"].get(reason, 0) + 1
    progress["handled"] += len(pairs)
    if kept:
        progress["after"] = [kept[-1].received_at.isoformat(), str(kept[-1].reject_id)]


Pairs = Sequence[tuple[Kept, Prepared]]


def _settle(cursor: psycopg.Cursor, accepted: Pairs, refused: Pairs) -> Counts:
    """Take out what is stored by now, though under another id or long ago, and give the rest its
    new reason; returns what that changes in the ledger."""
    counts: Counts = {}
    cursor.execute(_REMOVE, [[k.reject_id for k, _ in accepted]])
    removed = {row[0] for row in cursor}
    for k, _ in accepted:
        if k.reject_id in removed:  # else the writer took it out, and counted that
            _add(counts, k, k.source_id, k.device_id, k.reason, -1)
    changed = []
    for k, p in refused:
        assert p.refused is not None
        source_id, device_id = p.source.id, p.device.id if p.device else None
        told = (p.refused.reason, p.refused.detail[:1000])
        if (source_id, device_id, *told) != (k.source_id, k.device_id, k.reason, k.detail):
            changed.append((k.reject_id, source_id, device_id, *told))
            _add(counts, k, k.source_id, k.device_id, k.reason, -1)
            _add(counts, k, source_id, device_id, told[0], 1)
    if changed:
        cursor.execute(_CHANGE, [list(column) for column in zip(*changed, strict=True)])
    return counts


def _add(counts: Counts, k: Kept, source: int, device: int | None, reason: str, n: int) -> None:
    cell = (source, device, utc_hour(k.received_at), f"rejected:{reason}")
    counts[cell] = counts.get(cell, 0) + n


def _next(connection: psycopg.Connection, task: Task, size: int) -> list[Kept]:
    args = task.args
    start, end = (_moment(args.get(name)) for name in ("from", "to"))
    after, last = task.progress.get("after", [None, None])
    rows = connection.execute(
        _SELECT,
        {
            **{name: args.get(name) for name in ("ids", "reason", "source", "device")},
            **{"site_id": task.site_id, "start": start, "end": end, "limit": size},
            **{"until": task.requested_at, "after": _moment(after), "last": last},
        },
    )
    return [Kept(*row) for row in rows]


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


_SELECT: Final = """
    SELECT reject_id, received_at, topic, payload, rejected.source_id, device_id, reason, detail
    FROM rejected
    LEFT JOIN source ON source.id = rejected.source_id
    LEFT JOIN device ON device.id = rejected.device_id
    WHERE scope = 'message' AND payload IS NOT NULL AND received_at <= %(until)s
      AND (%(site_id)s::int IS NULL OR source.site_id = %(site_id)s)
      AND (%(ids)s::uuid[] IS NULL OR reject_id = ANY(%(ids)s::uuid[]))
      AND (%(reason)s::text IS NULL OR reason = %(reason)s)
      AND (%(source)s::text IS NULL OR source.key = %(source)s)
      AND (%(device)s::text IS NULL OR device.key = %(device)s)
      AND received_at >= coalesce(%(start)s::timestamptz, '-infinity')
      AND received_at < coalesce(%(end)s::timestamptz, 'infinity')
      AND (%(after)s::timestamptz IS NULL
           OR (received_at, reject_id) > (%(after)s::timestamptz, %(last)s::uuid))
    ORDER BY received_at, reject_id LIMIT %(limit)s
    FOR UPDATE OF rejected
"""
_REMOVE: Final = "DELETE FROM rejected WHERE reject_id = ANY(%s) RETURNING reject_id"
_CHANGE: Final = """
    UPDATE rejected SET source_id = told.source_id, device_id = told.device_id,
                        reason = told.reason, detail = told.detail
    FROM unnest(%s::uuid[], %s::int[], %s::int[], %s::text[], %s::text[])
         AS told (reject_id, source_id, device_id, reason, detail)
    WHERE rejected.reject_id = told.reject_id
"""
REDRIVE: Final = Kind("redrive", run)
