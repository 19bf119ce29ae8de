"""The limits that a chart draws as lines, as the site file states them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from services.api.resources.latest import Latest


def limits_of(stated: object, column: Latest, end: datetime) -> dict[str, float]:
    """The limits of one series by name, lowest first, from a param that states them.

    By device key: the numbers of the newest entry that was valid by `end`, e.g. siaga3 → 1.5. As
    rules: the limit of each rule for its property, by its label.
    """
    said: Mapping[str, Any] = {}
    if isinstance(stated, Mapping):
        said = _newest(stated.get(column.device), end)
    elif isinstance(stated, list):
        said = dict(
            limit for rule in stated if isinstance(rule, Mapping) for limit in _ruled(rule, column)
        )
    limits = {
        name: float(value)
        for name, value in said.items()
        if name != "valid_from" and isinstance(value, int | float) and not isinstance(value, bool)
    }
    return dict(sorted(limits.items(), key=lambda limit: limit[1]))


def common(limits: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """The limits every series of a chart has: lines that hold for one of several mislead."""
    first, *others = limits
    return {
        name: limit
        for name, limit in first.items()
        if all(each.get(name) == limit for each in others)
    }


def _newest(entries: object, end: datetime) -> Mapping[str, Any]:
    valid = [
        entry
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, Mapping)
        and str(entry.get("valid_from") or "") <= end.date().isoformat()
    ]
    return max(valid, key=lambda entry: str(entry.get("valid_from") or ""), default={})


def _ruled(rule: Mapping[str, Any], column: Latest) -> Iterator[tuple[str, Any]]:
    """The limit a rule sets this series, named by its label, else by its side."""
    devices = rule.get("devices")
    if rule.get("property") != column.property or (devices and column.device not in devices):
        return
    for side, sign in (("above", ">"), ("below", "<")):
        if rule.get(side) is not None:
            yield str(rule.get("label") or f"{sign} {rule[side]}"), rule[side]
