"""Words for what the database holds as keys; `N_` marks a text that is translated when shown."""

import re
from collections.abc import Mapping
from typing import Final

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
ROLE: Final = {
    "citizen": N_("citizen"),
    "researcher": N_("researcher"),
    "planner": N_("planner"),
    "operator": N_("operator"),
    "admin": N_("admin"),
}
ACCOUNT_REFUSED: Final = {
    "key": N_("No key was made: give it a name, scopes from the list below, sites that exist."),
    "ended": N_("There is no such key of yours, or it has ended."),
    "old": N_("The present password does not fit; after several attempts wait a while."),
    "new": N_("The new password is too short, holds your name, or repeats few characters."),
}
OUTCOME: Final = {"done": N_("done"), "refused": N_("refused"), "failed": N_("failed")}
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
    "1y": N_("1 year"),
    "all": N_("everything"),
}
STEP: Final = {
    "raw": N_("every value"),
    "5m": N_("5-minute mean"),
    "1h": N_("hourly mean"),
    "1d": N_("daily mean"),
    "1M": N_("monthly mean"),
}

STEP_TOTAL: Final = {
    "raw": N_("every value"),
    "5m": N_("5-minute total"),
    "1h": N_("hourly total"),
    "1d": N_("daily total"),
    "1M": N_("monthly total"),
}
# Codes in an outcome's reason, as the analytics service writes them.
REASON: Final = {
    "no_exposure": N_("nothing was due in this window"),
    "below_n_min": N_("too few devices to judge by: counted / needed"),
    "interval_unknown": N_("devices left out, their interval is unknown"),
    "single_device": N_("one device gives no interval"),
    "replayed": N_("recorded elsewhere, so nothing arrived late or early"),
    "history": N_("messages left out, stored values of several times: left out / all"),
    "no_own_time": N_("messages left out, without a time of their own: left out / all"),
    "negative_lag": N_("messages left out, their clock is ahead: left out / all"),
    "back_fill": N_("messages left out, sent later from a store: left out / all"),
}
# How far people are with a finding, and what they can do about it.
HANDLING: Final = {
    "open": N_("not looked at"),
    "acknowledged": N_("acknowledged"),
    "closed": N_("closed"),
}
ACTION: Final = {
    "acknowledge": N_("Acknowledge"),
    "close": N_("Close"),
    "reopen": N_("Reopen"),
}
DONE: Final = {
    "acknowledge": N_("acknowledged"),
    "close": N_("closed"),
    "reopen": N_("reopened"),
}
COURSE: Final = {
    "going": N_("still going on"),
    "over": N_("over"),
    "withdrawn": N_("withdrawn"),
}
REFUSED: Final = {
    "stands": N_("Somebody was first: the finding stands otherwise now."),
    "form": N_("Not saved: choose what to do, with a note of at most 2,000 letters."),
}
# Why a page could not be shown, or an action not be done, by HTTP status.
FAILED: Final = {
    403: N_("Not allowed: your roles do not include this, or another site's page asked."),
    500: N_("This is our fault and has been logged. Trying again may help."),
    503: N_("The database does not answer just now. Try again in a moment."),
}
# What a network server tells of a device beside its values.
EVENT: Final = {
    "up": N_("values"),
    "join": N_("joined the network"),
    "status": N_("battery and link"),
    "ack": N_("command confirmed"),
    "txack": N_("command sent"),
    "queued": N_("command waiting"),
    "log": N_("fault told"),
    "location": N_("position told"),
    "integration": N_("message of an integration"),
}
SCOPE: Final = {"message": N_("the whole message"), "item": N_("one value")}
# Findings that every pilot kind can have, beside those its kind describes.
FINDING: Final = {"silent": N_("Device is silent")}

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
    """English label of an observed property (a message id); an unknown one with spaces."""
    known = PROPERTIES.get(key)
    return known.label if known else key.replace("_", " ")


def property_decimals(key: str) -> int:
    """Decimal places an observed property is shown with."""
    known = PROPERTIES.get(key)
    return known.decimals if known else 2


def channel(key: str) -> tuple[str, str]:
    """A channel as the station it is of and an English label (a message id), each perhaps
    empty: environment pilots name what a figure is of after the station."""
    station, _, last = key.rpartition(".")
    return (station, PROPERTIES[last].label) if last in PROPERTIES else (key, "")


def steps(form: str) -> Mapping[str, str]:
    """Words for the steps of a panel: bars show totals, lines show means."""
    return STEP_TOTAL if form == "bars" else STEP


def service(key: str) -> str:
    """English name of a menu-board service (a message id); the key of any other with spaces."""
    known = catalogue.service(key)
    return str(known["name"]) if known else key.replace("_", " ")


def reasons(text: str) -> list[tuple[str, str]]:
    """An outcome's reason as (English words, numbers): codes are parted by ; and end at a colon."""
    parts = [part.partition(": ") for part in text.split("; ")]
    return [
        (REASON.get(code, code), " / ".join(re.findall(r"\d+", rest))) for code, _, rest in parts
    ]
