"""Words for what the database holds as keys; `N_` marks a text that is translated when shown."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from shared import catalogue
from shared.domain.property import PROPERTIES
from shared.domain.quality import Quality


def N_(text: str) -> str:  # noqa: N802 - the name every message extractor knows
    return text


ORIGIN: Final = {
    "measured": N_("measured"),
    "recorded": N_("recorded"),
    "simulated": N_("simulated"),
}
ORIGIN_MEANING: Final = {
    "measured": N_("These values come from real devices at this site."),
    "recorded": N_("These values were recorded by others at real places and are replayed here."),
    "simulated": N_("These values come from a simulator, not from the world."),
}
STAGE: Final = {
    "foundation": N_("foundation stage"),
    "experiment": N_("experiment stage"),
    "spread": N_("spread stage"),
}
QUALITY: Final = {
    Quality.GOOD: N_("good"),
    Quality.NOT_EVALUATED: N_("not evaluated"),
    Quality.SUSPECT: N_("suspect"),
    Quality.FAIL: N_("failed"),
    Quality.MISSING: N_("missing"),
}
SEVERITY: Final = {
    "info": N_("notice"),
    "warning": N_("warning"),
    "alarm": N_("alarm"),
    "critical": N_("critical"),
}
# What a device, or the worst of a group, looks like on the map and in lists.
STATUS: Final = {
    "live": N_("reporting"),
    "silent": N_("silent"),
    "unjudged": N_("interval unknown"),
    "waiting": N_("nothing received yet"),
    "info": N_("notice"),
    "warning": N_("warning"),
    "alarm": N_("alarm"),
    "critical": N_("critical"),
}
RESULT: Final = {
    "pass": N_("passed"),
    "provisional": N_("provisional"),
    "fail": N_("not reached"),
    "insufficient": N_("not enough data"),
}
PERIOD: Final = {
    "24h": N_("24 hours"),
    "7d": N_("7 days"),
    "35d": N_("35 days"),
    "all": N_("everything"),
}
STEP: Final = {
    "raw": N_("every value"),
    "5m": N_("5-minute mean"),
    "1h": N_("hourly mean"),
    "1d": N_("daily mean"),
}

STEP_TOTAL: Final = {
    "raw": N_("every value"),
    "5m": N_("5-minute total"),
    "1h": N_("hourly total"),
    "1d": N_("daily total"),
}
# Codes in an outcome's reason, as the analytics service writes them.
REASON: Final = {
    "no_exposure": N_("nothing was due in this window"),
    "below_n_min": N_("too few devices to judge by: counted / needed"),
    "interval_unknown": N_("devices left out, their interval is unknown"),
    "single_device": N_("one device gives no interval"),
}
# Keys of a finding's evidence that are worth a reader's time.
EVIDENCE: Final = {
    "peak_state": N_("highest Siaga state"),
    "peak_level_m": N_("peak level, m"),
    "peak_at": N_("peak at"),
    "hours": N_("hours"),
    "volume_m3": N_("volume, m³"),
    "pulse_m3": N_("pulse, m³"),
}

_UNIT_SIGN: Final = {
    "1": "",
    "Cel": "°C",
    "m3": "m³",
    "ug/m3": "µg/m³",
    "[pH]": "",
    "uS/cm": "µS/cm",
}


def unit_sign(unit: str) -> str:
    """A UCUM code as people write it, e.g. m3 → m³; nothing for plain numbers."""
    return _UNIT_SIGN.get(unit, unit)


def property_label(key: str) -> str:
    """English label of an observed property (a message id); its key where it is unknown."""
    known = PROPERTIES.get(key)
    return known.label if known else key


def property_decimals(key: str) -> int:
    """Decimal places an observed property is shown with."""
    known = PROPERTIES.get(key)
    return known.decimals if known else 2


def steps(form: str) -> Mapping[str, str]:
    """Words for the steps of a panel: bars show totals, lines show means."""
    return STEP_TOTAL if form == "bars" else STEP


def service(key: str) -> str:
    """English name of a menu-board service (a message id); the key of any other with spaces."""
    known = catalogue.service(key)
    return str(known["name"]) if known else key.replace("_", " ")


def finding(description: Mapping[str, Any] | None, kind: str) -> str:
    """English label of a finding kind, as its pilot kind describes it; the key without one."""
    described = (description or {}).get("findings", [])
    return next((str(each["label"]) for each in described if each["kind"] == kind), kind)


def reasons(text: str) -> list[tuple[str, str]]:
    """An outcome's reason as (English words, numbers): codes are parted by ; and end at a colon."""
    parts = [part.partition(": ") for part in text.split("; ")]
    return [
        (REASON.get(code, code), " / ".join(re.findall(r"\d+", rest))) for code, _, rest in parts
    ]


def facts(evidence: Mapping[str, Any]) -> list[tuple[str, float | int | str | datetime]]:
    """What of a finding's evidence is shown: (English words, value), times as times."""
    return [
        (label, _as_time(value))
        for key, label in EVIDENCE.items()
        if isinstance(value := evidence.get(key), int | float | str)
    ]


def _as_time(value: float | str) -> float | str | datetime:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value
