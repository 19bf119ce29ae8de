"""Which windows a pilot owes: newly closed ones, and those late data or the registry re-opened."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from services.analytics import local_time


@dataclass(frozen=True, slots=True)
class Ledger:
    """What has been done for one pilot: the last window end, the registry it was computed with,
    and the first and last window end to compute again."""

    registry: str | None = None
    done_to: date | None = None
    redo: tuple[date, date] | None = None

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "Ledger":
        redo = stored.get("redo")
        return cls(
            stored.get("registry"),
            date.fromisoformat(stored["done_to"]) if stored.get("done_to") else None,
            (date.fromisoformat(redo[0]), date.fromisoformat(redo[1])) if redo else None,
        )

    def stored(self) -> dict[str, Any]:
        return {
            "registry": self.registry,
            "done_to": self.done_to and self.done_to.isoformat(),
            "redo": self.redo and [day.isoformat() for day in self.redo],
        }


def owe(
    ledger: Ledger,
    *,
    registry: str,
    touched: tuple[datetime, datetime] | None,
    born: date,
    closed_to: date,
    longest: int,
    zone: str,
) -> Ledger:
    """Add to `redo`: everything when the registry changed, ends the touched hours fall before,
    and ends that closed since. `born`: the first end there can be; `closed_to`: the last."""
    spans: list[tuple[date, date]] = [ledger.redo] if ledger.redo else []
    if registry != ledger.registry:
        spans.append((born, closed_to))
    if touched:
        first, last = (local_time.local_date(moment, zone) for moment in touched)
        spans.append((first + timedelta(days=1), last + timedelta(days=longest)))
    if ledger.done_to is None or ledger.done_to < closed_to:
        after = ledger.done_to + timedelta(days=1) if ledger.done_to else born
        spans.append((after, closed_to))
    redo = _hull(spans, born, closed_to)
    return replace(ledger, registry=registry, redo=redo, done_to=closed_to)


def _hull(
    spans: Sequence[tuple[date, date]], born: date, closed_to: date
) -> tuple[date, date] | None:
    inside = [(max(a, born), min(b, closed_to)) for a, b in spans]
    inside = [span for span in inside if span[0] <= span[1]]
    if not inside:
        return None
    return min(a for a, _ in inside), max(b for _, b in inside)


def part(ledger: Ledger, days: int) -> tuple[tuple[date, date] | None, Ledger]:
    """The next few ends to compute (first, last), and the ledger without them."""
    if ledger.redo is None:
        return None, ledger
    first, last = ledger.redo
    upto = min(last, first + timedelta(days=days - 1))
    left = (upto + timedelta(days=1), last) if upto < last else None
    return (first, upto), replace(ledger, redo=left)
