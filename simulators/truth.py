"""Holding what was found against what was planted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from simulators.scenario import Planted

MONTH: Final = timedelta(days=30)


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
    unplanted: findings that no row explains; excess: those of them beyond one a month and site."""

    due: Sequence[Planted]
    missing: Sequence[Planted]
    unplanted: Sequence[Told]
    excess: Sequence[Told]


def judge(planted: Iterable[Planted], told: Sequence[Told], now: datetime) -> Verdict:
    """Compare. A finding tells a row when site, device, kind and severity agree and the spans
    touch; spans without an end last until `now`."""
    rows = [row for row in planted if row.finding]
    due = [row for row in rows if row.due and row.due <= now]
    missing = [row for row in due if not any(_tells(each, row, now) for each in told)]
    unplanted = [each for each in told if not any(_tells(each, row, now) for row in rows)]
    return Verdict(due, missing, unplanted, _beyond_one_a_month(unplanted))


def _beyond_one_a_month(unplanted: Iterable[Told]) -> list[Told]:
    """Those that begin less than a month after one of the same site that was let pass."""
    passed: dict[str, datetime] = {}
    excess = []
    for each in sorted(unplanted, key=lambda finding: finding.start):
        if each.site in passed and each.start - passed[each.site] < MONTH:
            excess.append(each)
        else:
            passed[each.site] = each.start
    return excess


def _tells(each: Told, row: Planted, now: datetime) -> bool:
    return (
        (each.site, each.device, each.kind) == (row.site, row.device, row.finding)
        and row.severity in (None, each.severity)
        and each.start <= row.end
        and (each.end or now) >= row.start
    )
