"""Holding what was found against what was planted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from simulators.scenario import Planted


class Told(NamedTuple):
    """A finding that stands: where, what, and its span (end is None while it lasts)."""

    site: str
    device: str
    kind: str
    severity: str
    start: datetime
    end: datetime | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """due: planted rows that had to be told by now; missing: those of them nothing tells;
    unplanted: findings that no row explains."""

    due: Sequence[Planted]
    missing: Sequence[Planted]
    unplanted: Sequence[Told]


def judge(planted: Iterable[Planted], told: Sequence[Told], now: datetime) -> Verdict:
    """Compare. A finding tells a row when site, device, kind and severity agree and the spans
    touch; spans without an end last until `now`."""
    rows = [row for row in planted if row.finding]
    due = [row for row in rows if row.due and row.due <= now]
    return Verdict(
        due,
        [row for row in due if not any(_tells(each, row, now) for each in told)],
        [each for each in told if not any(_tells(each, row, now) for row in rows)],
    )


def _tells(each: Told, row: Planted, now: datetime) -> bool:
    return (
        (each.site, each.device, each.kind) == (row.site, row.device, row.finding)
        and row.severity in (None, each.severity)
        and each.start <= row.end
        and (each.end or now) >= row.start
    )
