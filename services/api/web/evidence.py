"""Outcome metrics as a pilot page shows them: the newest window of each, then earlier ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from services.api.resources.outcomes import Outcome


@dataclass(frozen=True)
class Metric:
    """One outcome metric over windows of one length."""

    newest: Outcome
    earlier: Sequence[Outcome]

    @property
    def days(self) -> int:
        """Length of the window; a day the clocks were changed in still counts as one."""
        return round((self.newest.end - self.newest.start) / timedelta(days=1))

    @property
    def name(self) -> str:
        return str(self.described.get("label") or self.newest.metric)

    @property
    def described(self) -> dict[str, Any]:
        return self.newest.definition or {}

    @property
    def gate(self) -> float | None:
        """What the metric is held against, where the definition has a number."""
        gate = self.described.get("gate")
        return float(gate) if isinstance(gate, int | float) else None

    @property
    def is_ratio(self) -> bool:
        """Shown as per cent: a numerator over a denominator."""
        return self.newest.unit in ("1", "%", None) and self.newest.denominator is not None


def by_metric(outcomes: Iterable[Outcome]) -> list[Metric]:
    """Outcomes (the newest first) by metric and window length, in the order of the metrics."""
    grouped: dict[tuple[str, int], list[Outcome]] = {}
    for outcome in outcomes:
        days = round((outcome.end - outcome.start) / timedelta(days=1))
        grouped.setdefault((outcome.metric, days), []).append(outcome)
    return [Metric(rows[0], rows[1:]) for _, rows in sorted(grouped.items())]
