"""A finding's evidence as words and values, whatever analysis wrote it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from services.api.web.i18n import Language
from services.api.web.labels import N_, property_label, unit_sign
from shared.domain.property import PROPERTIES

# Keys with words of their own, the most telling first; others are shown by their name.
EVIDENCE: Final = {
    "peak_state": N_("highest Siaga state"),
    "peak_level_m": N_("peak level, m"),
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
    "peak_at": N_("peak at"),
    "beyond": N_("beyond their limits"),
    "pollutants": N_("rests on"),
    "parameters": N_("parameters of the index"),
    "partial_without": N_("partial index, without"),
    "capped": N_("at the end of the scale"),
    "source": N_("stated in"),
    "index_source": N_("index by"),
    "area": N_("area"),
    "flow_l_s": N_("leak, L/s"),
    "baseline_l_s": N_("night flow before, L/s"),
    "noise_l_s": N_("usual scatter, L/s"),
    "drop_l_s": N_("fell by, L/s"),
    "detected_at": N_("seen at"),
    "repair": N_("repair"),
    "ended": N_("why it ended"),
    "occupied_since": N_("occupied since"),
    "stay_min": N_("stayed, min"),
    "limit_min": N_("allowed, min"),
    "arrival_seen": N_("arrival seen"),
    "departure_seen": N_("departure seen"),
    "capacity": N_("spaces"),
    "at_pct": N_("full from, %"),
    "for_min": N_("for at least, min"),
    "interval_s": N_("expected every"),
    "limit_s": N_("silent after"),
    "property": N_("property"),
    "unit": N_("unit"),
    "hysteresis": N_("hysteresis"),
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
# Values that are words of ours; others are shown as they are.
VALUE: Final = {
    "all": N_("the whole pilot"),
    "good": N_("good"),
    "moderate": N_("moderate"),
    "unhealthy": N_("unhealthy"),
    "very unhealthy": N_("very unhealthy"),
    "hazardous": N_("hazardous"),
    "meets the standard": N_("meets the standard"),
    "lightly polluted": N_("lightly polluted"),
    "polluted": N_("polluted"),
    "heavily polluted": N_("heavily polluted"),
    "told": N_("reported"),
    "seen": N_("seen in the flow"),
    "left_pilot": N_("the device left the pilot"),
    "external_power": N_("mains power"),
    "unavailable": N_("the device could not measure it"),
    "not_told": N_("not told"),
}
# The end of a key names the unit: flow_l_s → flow, L/s.
_UNITS: Final = {
    "_l_s": "L/s",
    "_m3": "m³",
    "_percent": "%",
    "_pct": "%",
    "_db": "dB",
    "_min": "min",
    "_m": "m",
    "_h": "h",
}
_SECONDS: Final = "_s"
_MOST_LISTED: Final = 6

Value = float | int | str | datetime | timedelta


def facts(evidence: Mapping[str, Any]) -> list[tuple[str, Value]]:
    """(English words, value) of what can be said in a line: times as times, no histories."""
    order = {key: place for place, key in enumerate(EVIDENCE)}
    ranked = sorted(evidence, key=lambda key: order.get(key, len(order)))
    said = ((words(key), _value(key, evidence[key])) for key in ranked)
    return [(label, value) for label, value in said if value is not None]


def words(key: str) -> str:
    """The words of a key: its own, else the key itself with its unit, e.g. drop, L/s."""
    if key in EVIDENCE:
        return EVIDENCE[key]
    for end, unit in _UNITS.items():
        if key.endswith(end):
            return f"{key.removesuffix(end).replace('_', ' ')}, {unit}"
    return key.removesuffix(_SECONDS).replace("_", " ")


def said(language: Language, value: Value, zone: str) -> str:
    """A value in the reader's language; times on the clocks of `zone`."""
    if isinstance(value, datetime):
        return language.moment(value, zone)
    if isinstance(value, timedelta):
        return language.duration(value.total_seconds())
    if isinstance(value, str):
        return ", ".join(_name(language, each) for each in value.split(", "))
    return language.short(value)


def _name(language: Language, text: str) -> str:
    """A property by its label, a word of ours in the reader's language, else the text itself."""
    if text in PROPERTIES:
        return language.word(property_label(text))
    return language.word(VALUE[text]) if text in VALUE else text


def _value(key: str, value: Any) -> Value | None:
    if isinstance(value, list):
        plain = all(isinstance(each, str) for each in value)
        return ", ".join(value) if plain and 0 < len(value) <= _MOST_LISTED else None
    if isinstance(value, bool):
        return "✓" if value else "✗"
    if isinstance(value, str):
        return unit_sign(value) if key == "unit" else _as_time(value)
    if not isinstance(value, int | float):
        return None
    seconds = key.endswith(_SECONDS) and not key.endswith("_l_s")
    return timedelta(seconds=value) if seconds else value


def _as_time(text: str) -> str | datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    return time if time.tzinfo else text
