"""Bringing stored findings to what an analysis finds now, without rewriting what was published."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, or_, select, text

from shared.db.tables import finding

CHANNEL: Final = "finding"  # NOTIFY without payload: findings have changed
SEVERITIES: Final = ("info", "warning", "alarm", "critical")
_END: Final = datetime.max.replace(tzinfo=UTC)

Json = dict[str, Any]


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
    ids: dict[int, Found] = {}
    left = list(now)
    undone: list[Standing] = []
    for old in before:
        new = next((each for each in left if _same(old.found, each)), None)
        if new is None or not (new == old.found or _grew(old.found, new)):
            undone.append(old)
            continue
        left.remove(new)
        ids[old.id] = new
        if new != old.found:
            connection.execute(finding.update().where(finding.c.id == old.id).values(**_said(new)))
    for new in sorted(left, key=lambda each: (each.started_at, each.kind)):
        values = {
            **_said(new),
            "kind": new.kind,
            "started_at": new.started_at,
            "pilot_id": pilot_id,
            "datastream_id": datastream_id,
            "device_id": device_id,
            "origin": origin,
        }
        made = connection.scalar(finding.insert().values(**values).returning(finding.c.id))
        assert made is not None
        ids[made] = new
    for old in undone:
        connection.execute(
            finding.update()
            .where(finding.c.id == old.id)
            .values(withdrawn_at=text("now()"), superseded_by=_successor(old.found, ids))
        )
    if [old.found for old in before] != [*now]:
        connection.execute(text(f"NOTIFY {CHANNEL}"))  # alerts need not wait for their period


def _same(old: Found, new: Found) -> bool:
    return (old.kind, old.started_at) == (new.kind, new.started_at)


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


def _successor(old: Found, ids: dict[int, Found]) -> int | None:
    overlaps = [
        (_overlap_s(old, new), -index, number)
        for index, (number, new) in enumerate(ids.items())
        if new.kind == old.kind
    ]
    longest = max(overlaps, default=None)
    return longest[2] if longest and longest[0] >= 0 else None


def _overlap_s(one: Found, other: Found) -> float:
    """Seconds two spans share; negative when they are apart."""
    start = max(one.started_at, other.started_at)
    return (min(one.ended_at or _END, other.ended_at or _END) - start).total_seconds()
