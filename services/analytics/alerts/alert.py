"""An alert: a finding on its way to somebody, and what can go wrong with that."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


class Undelivered(Exception):
    """The receiver could not be reached or refused; the message is kept, without secrets."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of one channel. `id` is the same at every attempt; `attempts` counts this one.

    escalated: an alert of a lower severity was sent before. device, property, unit: null for a
    finding about the pilot as a whole. Times in UTC; ended_at null: still going on.
    """

    id: str
    finding_id: int
    severity: str
    attempts: int
    escalated: bool
    kind: str
    site: str
    site_name: str
    zone: str
    pilot: str
    device: str | None
    property: str | None
    unit: str | None
    started_at: datetime
    ended_at: datetime | None
    confidence: float | None
    evidence: Mapping[str, Any] = field(hash=False)
    origin: str
