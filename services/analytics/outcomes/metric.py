"""What an outcome metric is: one frozen description with its formula, gate and computation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from services.analytics import outcomes
from services.analytics.outcomes.exposure import Exposure
from shared.errors import OperatorError
from shared.registry import discover

State = Literal["pass", "provisional", "fail", "insufficient"]
WORDING = ("name", "label")  # all else of a definition is what its values mean
NO_EXPOSURE = "no_exposure"


class DefinitionChanged(OperatorError):
    """A stored definition, under which values were published, is described otherwise."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One value with what it was made of. `value` is null when the denominator is 0; the interval
    is null when it cannot be given; `method` names the interval.

    coverage: share of what is in scope (devices, or messages where they are counted) that the
    value rests on, null without any.
    """

    numerator: float
    denominator: float
    n: int
    value: float | None
    low: float | None
    high: float | None
    method: str | None
    coverage: float | None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Metric:
    """An outcome metric of the catalogue. `gate` and `n_min` are data, marked by `source`.

    windows_days: lengths in local days, each window ending at a local midnight.
    compute: the exposure of exactly one window and a seed → the value.
    inputs: the same exposure → what the value depends on, for its digest.
    of_uplinks: rests on raw uplinks; where they are no longer kept, nothing is computed again.
    """

    key: str
    name: str
    def_version: int
    label: str
    windows_days: tuple[int, ...]
    gate: float
    unit: str
    wanted: Literal["up", "down"]
    n_min: int
    formula: str
    source: str
    compute: Callable[[Exposure, int], Measured]
    inputs: Callable[[Exposure], list[Any]]
    of_uplinks: bool = False


def metrics() -> dict[str, Metric]:
    """Every outcome metric of this release, by name."""
    return discover(outcomes, Metric)


def described(metric: Metric) -> dict[str, Any]:
    """The description stored for the API: plain JSON, without the functions."""
    return {
        "name": metric.name,
        "label": metric.label,
        "windows_days": list(metric.windows_days),
        "gate": metric.gate,
        "unit": metric.unit,
        "wanted": metric.wanted,
        "n_min": metric.n_min,
        "formula": metric.formula,
        "source": metric.source,
    }


def unchanged(metric: Metric, stored: dict[str, Any]) -> None:
    """Raise DefinitionChanged when `stored` under the same def_version says something else."""
    now = described(metric)
    changed = sorted(
        key
        for key in now.keys() | stored.keys()
        if key not in WORDING and now.get(key) != stored.get(key)
    )
    if changed:
        raise DefinitionChanged(
            f"metric {metric.key}: {', '.join(changed)} not as stored for def_version"
            f" {metric.def_version}, under which values may be published: raise its def_version"
        )


def judge(metric: Metric, measured: Measured) -> tuple[State, str | None]:
    """Gate state and the reasons in words: pass when the unfavourable bound meets the gate,
    provisional when only the value does, insufficient without enough to judge by."""
    reasons = list(measured.reasons)
    if measured.value is None:
        return "insufficient", "; ".join([NO_EXPOSURE, *reasons])
    if measured.n < metric.n_min:
        reasons.insert(0, f"below_n_min: {measured.n} of {metric.n_min} devices")
    said = "; ".join(reasons) or None
    bound = measured.low if metric.wanted == "up" else measured.high
    if measured.n < metric.n_min or bound is None:
        return "insufficient", said
    if _meets(metric, bound):
        return "pass", said
    return ("provisional" if _meets(metric, measured.value) else "fail"), said


def _meets(metric: Metric, value: float) -> bool:
    return value >= metric.gate if metric.wanted == "up" else value <= metric.gate
