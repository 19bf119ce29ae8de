"""Values of metrics as versions: the same input writes nothing, another one adds a version."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, text

from services.analytics import local_time
from services.analytics.outcomes.exposure import Exposure
from services.analytics.outcomes.metric import Measured, Metric, judge
from shared.db.tables import metric_value

_LATEST: Final = text("""
    SELECT DISTINCT ON (metric, def_version, "from", "to")
           metric, def_version, "from", "to", version, input_digest
    FROM metric_value
    WHERE pilot_id = :pilot_id AND "to" >= :first AND "to" <= :last
    ORDER BY metric, def_version, "from", "to", version DESC
""")


@dataclass(frozen=True, slots=True)
class Value:
    """One window's value before it has a version."""

    metric: Metric
    start: datetime
    end: datetime
    measured: Measured
    digest: str


def value(metric: Metric, window: Exposure) -> Value:
    """Compute a metric over a window; the interval's seed comes from the input itself."""
    start, end = (local_time.at(edge) for edge in (window.midnights[0], window.midnights[-1]))
    definition = [metric.key, metric.def_version, metric.gate, metric.n_min]
    said = [*definition, start.isoformat(), end.isoformat()]
    inputs = json.dumps([*said, metric.inputs(window)])
    digest = hashlib.sha256(inputs.encode()).hexdigest()
    return Value(metric, start, end, metric.compute(window, int(digest[:16], 16)), digest)


def store(
    connection: Connection, pilot_id: int, phase: int, origin: str, computed: Sequence[Value]
) -> int:
    """Add versions for what changed; returns how many rows were written."""
    if not computed:
        return 0
    ends = [each.end for each in computed]
    known: dict[tuple[Any, ...], tuple[int, str]] = {
        tuple(row[:4]): (row.version, row.input_digest)
        for row in connection.execute(
            _LATEST, {"pilot_id": pilot_id, "first": min(ends), "last": max(ends)}
        )
    }
    rows = []
    for each in computed:
        key = (each.metric.key, each.metric.def_version, each.start, each.end)
        version, digest = known.get(key, (0, ""))
        if digest != each.digest:
            own = {"pilot_id": pilot_id, "phase": phase, "origin": origin}
            rows.append({**own, "version": version + 1, **_columns(each)})
    if rows:
        connection.execute(metric_value.insert(), rows)
    return len(rows)


def _columns(each: Value) -> dict[str, Any]:
    measured = each.measured
    state, reason = judge(each.metric, measured)
    return {
        "metric": each.metric.key,
        "def_version": each.metric.def_version,
        "from": each.start,
        "to": each.end,
        "numerator": measured.numerator,
        "denominator": measured.denominator,
        "n": measured.n,
        "value": measured.value,
        "ci_low": measured.low,
        "ci_high": measured.high,
        "method": measured.method,
        "coverage": measured.coverage,
        "state": state,
        "reason": reason,
        "input_digest": each.digest,
    }
