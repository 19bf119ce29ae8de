"""What a pilot kind is: the properties it observes, what it makes of them, what it shows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from services.analytics import pilots
from shared.errors import OperatorError
from shared.registry import discover

EVERY: Final = "*"  # in place of a property key: whatever the pilot's devices report


class PilotParamsError(OperatorError):
    """A pilot's params or devices do not allow the analysis; mended in the site file."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart of the pilot page, or with EVERY one for each property the devices report.

    form: chart (line), bars (totals) or state. limits: the param with dated limits by device key,
    or with rules of a property and its limit, drawn as lines.
    """

    title: str
    property: str
    form: str = "chart"
    limits: str | None = None


@dataclass(frozen=True, slots=True)
class FindingKind:
    """A judgement the kind can make; `severities` from mildest to worst."""

    kind: str
    severities: tuple[str, ...]
    label: str


@dataclass(frozen=True, slots=True)
class Pilot:
    """One pilot of a kind, as the analysis needs it.

    present: see services/analytics/present.py; null while nothing was ever heard.
    """

    id: int
    key: str
    zone: str
    origin: str
    params: Mapping[str, Any] = field(hash=False)
    present: datetime | None = None


@dataclass(frozen=True, slots=True)
class Datastream:
    """One observed datastream of a pilot."""

    id: int
    device_id: int
    device: str
    property: str
    channel: str


# The earliest changed hour of each touched datastream: everything from there on may differ.
Touched = Mapping[Datastream, datetime]
# By datastream id of the pilot: when its result may differ although no reading arrived. Once the
# present reaches that moment, the datastream is touched from it on.
Due = Mapping[int, datetime]


@dataclass(frozen=True, slots=True)
class PilotKind:
    """A pilot kind. services: menu-board ids it suits, none: any; observes, derives: property keys,
    observes also EVERY.

    `analyse` brings derived readings and findings to what the readings say now. It must give the
    same result in whatever order they arrived, and raises PilotParamsError for unusable params.
    What it returns replaces what was due for the touched datastreams; null: time changes nothing.
    whole: all that was touched of a pilot is analysed at once, not a few datastreams at a time.
    """

    name: str
    label: str
    services: tuple[str, ...]
    observes: tuple[str, ...]
    derives: tuple[str, ...]
    findings: tuple[FindingKind, ...]
    panels: tuple[Panel, ...]
    analyse: Callable[[Connection, Pilot, Touched], Due | None]
    whole: bool = False


def kinds() -> dict[str, PilotKind]:
    """Every pilot kind of this release, by name."""
    return discover(pilots, PilotKind)


def described(kind: PilotKind) -> dict[str, Any]:
    """The description stored for the API: plain JSON, without the function."""
    return {
        "name": kind.name,
        "label": kind.label,
        "services": list(kind.services),
        "observes": list(kind.observes),
        "derives": list(kind.derives),
        "findings": [
            {"kind": each.kind, "severities": list(each.severities), "label": each.label}
            for each in kind.findings
        ],
        "panels": [
            {
                "title": each.title,
                "property": each.property,
                "form": each.form,
                "limits": each.limits,
            }
            for each in kind.panels
        ],
    }
