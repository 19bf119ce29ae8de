"""A finding's evidence as words and values, whatever analysis wrote it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from services.api.web.labels import N_

# Keys with words of their own, the most telling first; others are shown by their name.
EVIDENCE: Final = {
    "peak_state": N_("highest Siaga state"),
    "peak_level_m": N_("peak level, m"),
    "peak_at": N_("peak at"),
    "hours": N_("hours"),
    "volume_m3": N_("volume, m³"),
    "pulse_m3": N_("pulse, m³"),
    "rule": N_("rule"),
    "above": N_("limit, not above"),
    "below": N_("limit, not below"),
    "peak_value": N_("farthest value"),
    "category": N_("category"),
    "class": N_("class"),
    "peak_index": N_("highest index"),
    "critical": N_("critical parameter"),
    "limit": N_("limit"),
    "peak_ratio": N_("share of the limit"),
    "beyond": N_("beyond their limits"),
    "pollutants": N_("rests on"),
    "parameters": N_("parameters of the index"),
    "partial_without": N_("partial index, without"),
    "capped": N_("at the end of the scale"),
    "source": N_("stated in"),
    "index_source": N_("index by"),
    "margin_db": N_("link margin, dB"),
    "battery_percent": N_("battery, %"),
    "battery_reason": N_("why no battery level"),
    "dev_addr": N_("network address"),
    "acknowledged": N_("confirmed"),
    "downlink_id": N_("command"),
    "f_cnt_down": N_("frame downwards"),
    "gateway": N_("gateway"),
    "level": N_("level"),
    "code": N_("code"),
    "description": N_("description"),
    "lat": N_("latitude"),
    "lon": N_("longitude"),
    "altitude_m": N_("altitude, m"),
    "accuracy_m": N_("accuracy, m"),
}
# The end of a key names the unit: flow_l_s → flow, L/s.
_UNITS: Final = {
    "_l_s": "L/s",
    "_m3": "m³",
    "_percent": "%",
    "_db": "dB",
    "_min": "min",
    "_m": "m",
    "_s": "s",
    "_h": "h",
}
_MOST_LISTED: Final = 6

Value = float | int | str | datetime


def facts(evidence: Mapping[str, Any]) -> list[tuple[str, Value]]:
    """(English words, value) of what can be said in a line: times as times, no histories."""
    ranked = sorted(evidence, key=lambda key: [*EVIDENCE].index(key) if key in EVIDENCE else 99)
    said = ((words(key), _value(evidence[key])) for key in ranked)
    return [(label, value) for label, value in said if value is not None]


def words(key: str) -> str:
    """The words of a key: its own, else the key itself with its unit, e.g. drop, L/s."""
    if key in EVIDENCE:
        return EVIDENCE[key]
    for end, unit in _UNITS.items():
        if key.endswith(end):
            return f"{key.removesuffix(end).replace('_', ' ')}, {unit}"
    return key.replace("_", " ")


def _value(value: Any) -> Value | None:
    if isinstance(value, list):
        plain = all(isinstance(each, str) for each in value)
        short = plain and 0 < len(value) <= _MOST_LISTED
        return ", ".join(value) if short else None
    if isinstance(value, bool):
        return "✓" if value else "✗"
    if not isinstance(value, int | float | str):
        return None
    return _as_time(value)


def _as_time(value: float | str) -> Value:
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value
    return value if isinstance(time, datetime) and time.tzinfo is None else time
