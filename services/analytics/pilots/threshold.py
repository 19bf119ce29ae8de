"""Pilot kind `threshold`: limits stated in the site file, for any property any device reports.

A rule is met from the first reading beyond its limit to the first one back by `hysteresis`; a
finding is a span in which readings stayed beyond for at least `for_min` minutes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, text

from services.analytics import findings, local_time, params, series
from services.analytics.findings import SEVERITIES, Found, Json, Standing
from services.analytics.methods import hysteresis
from services.analytics.pilot import (
    EVERY,
    Datastream,
    FindingKind,
    Panel,
    Pilot,
    PilotKind,
    PilotParamsError,
    Touched,
)
from services.analytics.series import Series
from shared.domain.property import PROPERTIES

KNOWN: Final = (
    *("property", "above", "below", "devices", "for_min", "hysteresis", "severity", "label"),
)
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)

_DEVICES: Final = text("SELECT key FROM device WHERE pilot_id = :pilot_id ORDER BY key")
# The last reading that found the rule not met: from there on the past no longer matters.
_CALM: Final = text("""
    SELECT part.place, found.time
    FROM unnest(CAST(:ids AS int[]), CAST(:befores AS timestamptz[]), CAST(:signs AS float8[]),
                CAST(:calms AS float8[]))
        WITH ORDINALITY AS part(id, before, sign, calm, place)
    CROSS JOIN LATERAL (
        SELECT time FROM reading
        WHERE datastream_id = part.id AND time < part.before AND quality <= 2
          AND value * part.sign <= part.calm
        ORDER BY time DESC LIMIT 1
    ) AS found
""")


@dataclass(frozen=True, slots=True)
class Rule:
    """One limit in the property's own unit. sign 1: met above it, -1: met below it."""

    name: str
    property: str
    sign: int
    limit: float
    hysteresis: float
    for_s: float
    severity: str
    devices: frozenset[str] | None  # null: all

    def concerns(self, each: Datastream) -> bool:
        return each.property == self.property and (
            self.devices is None or each.device in self.devices
        )


def analyse(connection: Connection, pilot: Pilot, touched: Touched) -> None:
    """Bring the findings of these datastreams to what their readings say under the rules now."""
    keys = list(connection.scalars(_DEVICES, {"pilot_id": pilot.id}))
    stated = rules(pilot.key, pilot.params, keys)
    begins = _begins(connection, stated, touched)
    starts = {
        each.id: min(
            [hour, *(begins[each.id, rule.name] for rule in stated if rule.concerns(each))]
        )
        for each, hour in touched.items()
    }
    before = findings.standing(connection, pilot.id, (KIND.name,), starts)
    readings = series.usable(connection, starts)
    for each in touched:
        own = {rule.name: rule for rule in stated if rule.concerns(each)}
        for name in {*own, *(_rule(old) for old in before[each.id])}:
            rule = own.get(name)
            since = begins[each.id, name] if rule else BEGINNING
            findings.reconcile(
                connection,
                pilot_id=pilot.id,
                datastream_id=each.id,
                origin=pilot.origin,
                before=[
                    old for old in before[each.id] if _rule(old) == name and _after(old, since)
                ],
                now=spans(_since(readings[each.id], since), rule) if rule else [],
            )


def spans(readings: Series, rule: Rule) -> list[Found]:
    """One finding per span in which the rule was met. readings: not met before the first.

    started_at: the first reading beyond the limit; ended_at: the first one back, null while met.
    """
    value = rule.sign * readings.value
    met = hysteresis.beyond(value, rule.sign * rule.limit, rule.hysteresis)
    change = np.flatnonzero(np.diff(np.concatenate(([0], met.astype(np.int8), [0]))))
    return [
        _found(readings, rule, int(first), int(past))
        for first, past in change.reshape(-1, 2)
        if readings.time[past - 1] - readings.time[first] >= rule.for_s
    ]


def _found(readings: Series, rule: Rule, first: int, past: int) -> Found:
    peak = first + int(np.argmax(rule.sign * readings.value[first:past]))
    return Found(
        kind=KIND.name,
        severity=rule.severity,
        started_at=local_time.at(readings.time[first]),
        ended_at=local_time.at(readings.time[past]) if past < len(readings.time) else None,
        evidence={
            "rule": rule.name,
            "property": rule.property,
            "unit": PROPERTIES[rule.property].unit,
            "above" if rule.sign > 0 else "below": rule.limit,
            **({"hysteresis": rule.hysteresis} if rule.hysteresis else {}),
            **({"for_min": rule.for_s / 60} if rule.for_s else {}),
            "peak_value": float(readings.value[peak]),
            "peak_at": local_time.at(readings.time[peak]).isoformat(),
        },
    )


def _begins(
    connection: Connection, stated: Sequence[Rule], touched: Touched
) -> dict[tuple[int, str], datetime]:
    """Per datastream and rule the last reading before the change at which it was not met."""
    pairs = [(each, rule) for each in touched for rule in stated if rule.concerns(each)]
    if not pairs:
        return {}
    found = connection.execute(
        _CALM,
        {
            "ids": [each.id for each, _ in pairs],
            "befores": [touched[each] for each, _ in pairs],
            "signs": [rule.sign for _, rule in pairs],
            "calms": [rule.sign * rule.limit - rule.hysteresis for _, rule in pairs],
        },
    )
    times = {row.place: row.time for row in found}
    return {
        (each.id, rule.name): times.get(place, BEGINNING)
        for place, (each, rule) in enumerate(pairs, start=1)
    }


def _since(readings: Series, moment: datetime) -> Series:
    first = int(np.searchsorted(readings.time, moment.timestamp()))
    return Series(readings.time[first:], readings.value[first:])


def _after(old: Standing, moment: datetime) -> bool:
    return old.found.ended_at is None or old.found.ended_at > moment


def _rule(old: Standing) -> str:
    return str(old.found.evidence["rule"])


def rules(key: str, given: Mapping[str, Any], devices: Sequence[str]) -> list[Rule]:
    """The rules of a pilot's params, in their order; raises PilotParamsError naming the place.

    devices: keys of the pilot's devices, the only ones a rule may name.
    """
    listed = params.mapping(f"{key}: params", given, ("rules",)).get("rules", [])
    if not isinstance(listed, list):
        raise PilotParamsError(f"{key}: rules must be a list")
    found = [_read(f"{key}: rule {i}", each, devices) for i, each in enumerate(listed, start=1)]
    names = [rule.name for rule in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PilotParamsError(f"{key}: two rules are named {twice[0]!r}: give each a label")
    return found


def _read(place: str, given: object, devices: Sequence[str]) -> Rule:
    said = params.mapping(place, given, KNOWN)
    name = params.word(f"{place}: property", said.get("property"), PROPERTIES)
    side = [each for each in ("above", "below") if said.get(each) is not None]
    if len(side) != 1:
        raise PilotParamsError(f"{place}: needs either above or below, in {PROPERTIES[name].unit}")
    limit = params.number(f"{place}: {side[0]}", said[side[0]])
    return Rule(
        name=_label(place, said, f"{name} {side[0]} {limit:g}"),
        property=name,
        sign=1 if side[0] == "above" else -1,
        limit=limit,
        hysteresis=params.number(f"{place}: hysteresis", said.get("hysteresis", 0), least=0),
        for_s=60 * params.number(f"{place}: for_min", said.get("for_min", 0), least=0),
        severity=params.word(f"{place}: severity", said.get("severity"), SEVERITIES),
        devices=_named(place, said, devices),
    )


def _label(place: str, said: Json | Mapping[str, Any], usual: str) -> str:
    label = said.get("label", usual)
    if not isinstance(label, str) or not label.strip():
        raise PilotParamsError(f"{place}: label must be a text")
    return label


def _named(place: str, said: Mapping[str, Any], devices: Sequence[str]) -> frozenset[str] | None:
    if said.get("devices") is None:
        return None
    named = params.words(f"{place}: devices", said["devices"])
    strangers = sorted(set(named) - set(devices))
    if strangers:
        raise PilotParamsError(
            f"{place}: the pilot has no device {strangers[0]!r}; it has: {', '.join(devices)}"
        )
    return frozenset(named)


KIND: Final = PilotKind(
    name="threshold",
    label="Limits watch",
    services=(),
    observes=(EVERY,),
    derives=(),
    findings=(FindingKind("threshold", SEVERITIES, "Value beyond its limit"),),
    panels=(Panel("", EVERY, limits="rules"),),
    analyse=analyse,
)
