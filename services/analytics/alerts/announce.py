"""Job `alerts`: every finding, and every rise of its severity, gets one row per channel."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, text
from sqlalchemy.dialects.postgresql import insert

from services.analytics.alerts import quiet
from services.analytics.findings import SEVERITIES
from services.analytics.present import present
from services.analytics.runner import Job, Progress, Slice
from shared.db.tables import alert
from shared.settings import Alerts, quiet_hours

AT_ONCE: Final = 500
RECENT: Final = timedelta(hours=24)

_BACK: Final = text("""
    SELECT DISTINCT pilot.id, pilot.origin
    FROM finding JOIN pilot ON pilot.id = finding.pilot_id
    WHERE finding.announced IS DISTINCT FROM finding.severity
      AND finding.ended_at IS NULL AND finding.withdrawn_at IS NULL
""")
# A finding in the making is another worker's for now: skipped, not waited for.
_DUE: Final = text("""
    SELECT finding.*, site.zone
    FROM finding JOIN pilot ON pilot.id = finding.pilot_id JOIN site ON site.id = pilot.site_id
    WHERE finding.announced IS DISTINCT FROM finding.severity
      AND NOT (finding.ended_at IS NULL AND finding.withdrawn_at IS NULL
               AND finding.pilot_id = ANY(CAST(:behind AS int[])))
    ORDER BY finding.id LIMIT :most
    FOR NO KEY UPDATE OF finding SKIP LOCKED
""")
_DONE: Final = text(
    "UPDATE finding SET announced = severity WHERE id = ANY(CAST(:ids AS bigint[]))"
)


@dataclass(frozen=True, slots=True)
class Rules:
    """Which findings are sent, and when: the settings, and the moment."""

    channels: Sequence[str]
    least: str
    hours: quiet.Hours | None
    now: datetime


def job(settings: Alerts) -> Job:
    """The job that decides what is sent; findings made without a channel stay unsent for good."""
    return Job("alerts", lambda connection, progress: work(connection, progress, settings))


def work(
    connection: Connection,
    progress: Progress,
    settings: Alerts,
    now: datetime | None = None,
) -> Slice:
    """One slice. Whoever commits a finding late is seen late, never missed: `announced` tells
    what is due, no watermark does."""
    hours = quiet_hours(settings.quiet) if settings.quiet else None
    rules = Rules(settings.channels, settings.min_severity, hours, now or datetime.now(UTC))
    behind = [
        row.id for row in connection.execute(_BACK) if not _caught_up(connection, row, rules.now)
    ]
    due = connection.execute(_DUE, {"behind": behind, "most": AT_ONCE}).all()
    rows = [each for finding in due for each in _rows(finding, rules)]
    if rows:
        connection.execute(insert(alert).on_conflict_do_nothing(), rows)
    if due:
        connection.execute(_DONE, {"ids": [finding.id for finding in due]})
    return Slice(progress, more=len(due) == AT_ONCE)


def _caught_up(connection: Connection, pilot: Row[Any], now: datetime) -> bool:
    """Whether what lasts at the pilot's present lasts now: while its past is filled in, it may
    have ended long ago."""
    moment = present(connection, pilot.id, pilot.origin, now)
    return moment is None or moment >= now - RECENT


def _rows(finding: Row[Any], rules: Rules) -> Iterator[dict[str, Any]]:
    """The alerts of a finding: waiting, or skipped with a reason."""
    why = _unwanted(finding, rules)
    begins = quiet.earliest(rules.now, rules.hours, finding.zone, finding.severity)
    for channel in rules.channels:
        yield {
            "finding_id": finding.id,
            "channel": channel,
            "severity": finding.severity,
            "state": "skipped" if why else "waiting",
            "error": why,
            "next_at": None if why else begins,
        }


def _unwanted(finding: Row[Any], rules: Rules) -> str | None:
    """Why a finding is not for sending on any channel."""
    if finding.withdrawn_at is not None:
        return "withdrawn"
    if SEVERITIES.index(finding.severity) < SEVERITIES.index(rules.least):
        return f"below {rules.least}"
    if finding.ended_at is not None and finding.ended_at < rules.now - RECENT:
        return "history: it ended more than 24 hours before it was found"
    return None
