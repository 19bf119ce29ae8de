"""Bringing stored findings to what an analysis finds now, without rewriting what was published."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from math import inf
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, Row, bindparam, func, or_, select, text

from shared.db.tables import finding

CHANNEL: Final = "finding"  # NOTIFY without payload: findings have changed
SEVERITIES: Final = ("info", "warning", "alarm", "critical")

Json = dict[str, Any]

_GROW: Final = finding.update().where(finding.c.id == bindparam("number"))
_WITHDRAW: Final = _GROW.values(withdrawn_at=func.now(), superseded_by=bindparam("superseded_by"))


@dataclass(frozen=True, slots=True)
class Found:
    """A judgement over a span; `ended_at` is null while it lasts.

    Lists in `evidence` are histories: as long as a finding is open they only get longer.
    """

    kind: str
    severity: str
    started_at: datetime
    ended_at: datetime | None
    evidence: Json
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A stored finding that has not been withdrawn."""

    id: int
    found: Found


def standing(
    connection: Connection, pilot_id: int, kinds: Collection[str], since: Mapping[int, datetime]
) -> dict[int, list[Standing]]:
    """Live findings of each datastream that reach its moment or begin later, in order of start."""
    found: dict[int, list[Standing]] = {number: [] for number in since}
    rows = connection.execute(
        select(finding)
        .where(
            finding.c.pilot_id == pilot_id,
            finding.c.datastream_id.in_(since),
            finding.c.kind.in_(kinds),
            finding.c.withdrawn_at.is_(None),
            or_(finding.c.ended_at.is_(None), finding.c.ended_at >= min(since.values())),
        )
        .order_by(finding.c.started_at, finding.c.id)
    )
    for row in rows:
        if row.ended_at is None or row.ended_at >= since[row.datastream_id]:
            found[row.datastream_id].append(Standing(row.id, _found(row)))
    return found


def _found(row: Row[Any]) -> Found:
    return Found(row.kind, row.severity, row.started_at, row.ended_at, row.evidence, row.confidence)


def reconcile(
    connection: Connection,
    *,
    pilot_id: int,
    datastream_id: int | None = None,
    device_id: int | None = None,
    origin: str,
    before: Sequence[Standing],
    now: Sequence[Found],
) -> None:
    """Make `now` the live findings in place of `before`: of a datastream, of a device as a whole,
    or (neither) of the pilot.

    An identical finding is untouched. An open one that grew (same kind and start, severity not
    lower, histories only longer) is updated in place: severity, ended_at, confidence, evidence.
    Any other is withdrawn and points to the one of `now` that overlaps it most, if any.
    """
    left: dict[tuple[str, datetime], list[Found]] = defaultdict(list)
    for each in now:
        left[each.kind, each.started_at].append(each)
    kept: dict[int, Found] = {}
    grown: list[Json] = []
    undone: list[Standing] = []
    for old in before:
        same = left[old.found.kind, old.found.started_at]
        if not same or not (same[0] == old.found or _grew(old.found, same[0])):
            undone.append(old)
            continue
        kept[old.id] = new = same.pop(0)
        if new != old.found:
            grown.append({"number": old.id, **_said(new)})
    new_ones = sorted(chain(*left.values()), key=lambda each: (each.started_at, each.kind))
    about = {
        "pilot_id": pilot_id,
        "datastream_id": datastream_id,
        "device_id": device_id,
        "origin": origin,
    }
    made = _insert(connection, new_ones, about)
    heirs = _heirs(undone, kept | made)
    gone = [{"number": old.id, "superseded_by": heirs.get(old.id)} for old in undone]
    for statement, values in ((_GROW, grown), (_WITHDRAW, gone)):
        if values:
            connection.execute(statement, values)
    if grown or made or gone:
        connection.execute(text(f"NOTIFY {CHANNEL}"))  # alerts need not wait for their period


def _insert(connection: Connection, new: Sequence[Found], about: Json) -> dict[int, Found]:
    if not new:
        return {}
    values = [
        {**about, **_said(each), "kind": each.kind, "started_at": each.started_at} for each in new
    ]
    made = finding.insert().returning(finding.c.id, sort_by_parameter_order=True)
    return dict(zip(connection.scalars(made, values), new, strict=True))


def _grew(old: Found, new: Found) -> bool:
    histories = {key: value for key, value in old.evidence.items() if isinstance(value, list)}
    return (
        old.ended_at is None
        and SEVERITIES.index(new.severity) >= SEVERITIES.index(old.severity)
        and all(new.evidence.get(key, [])[: len(was)] == was for key, was in histories.items())
    )


def _said(found: Found) -> Json:
    return {
        "severity": found.severity,
        "ended_at": found.ended_at,
        "confidence": found.confidence,
        "evidence": found.evidence,
    }


def _heirs(undone: Sequence[Standing], live: Mapping[int, Found]) -> dict[int, int]:
    """By id of what is undone: the live finding of its kind that overlaps it most, if any."""
    heirs: dict[int, int] = {}
    for kind in {old.found.kind for old in undone}:
        own = [number for number, new in live.items() if new.kind == kind]
        starts, ends = (np.array([span(live[number]) for number in own]) for span in (_start, _end))
        for old in undone:
            if own and old.found.kind == kind:
                shared = np.minimum(ends, _end(old.found)) - np.maximum(starts, _start(old.found))
                longest = int(shared.argmax())
                if shared[longest] >= 0:
                    heirs[old.id] = own[longest]
    return heirs


def _start(found: Found) -> float:
    return found.started_at.timestamp()


def _end(found: Found) -> float:
    return inf if found.ended_at is None else found.ended_at.timestamp()
