"""The outbox: claiming an alert, recording what became of it, and what operators see of it.

Each function is one short step of a transaction; sending happens between two of them.
"""

from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, text

from services.analytics.alerts.alert import Alert
from services.analytics.findings import SEVERITIES

ERROR_LENGTH: Final = 500

_WITHDRAWN: Final = text("""
    UPDATE alert SET state = 'skipped', error = 'withdrawn', next_at = NULL
    FROM finding
    WHERE alert.channel = :channel AND alert.state = 'waiting' AND alert.next_at <= :now
      AND finding.id = alert.finding_id AND finding.withdrawn_at IS NOT NULL
""")
# Judged when its turn has come: the alert of the finding it replaces may have been on its way.
_REPEATS: Final = text("""
    UPDATE alert SET state = 'skipped', next_at = NULL,
                     error = 'it takes the place of a finding that was sent'
    WHERE id = :id AND EXISTS (
        WITH RECURSIVE earlier AS (
            SELECT id FROM finding WHERE superseded_by = alert.finding_id
            UNION SELECT finding.id FROM finding JOIN earlier ON finding.superseded_by = earlier.id
        )
        SELECT FROM alert AS told JOIN earlier ON earlier.id = told.finding_id
        WHERE told.channel = alert.channel AND told.state = 'sent'
          AND array_position(CAST(:severities AS text[]), told.severity)
              >= array_position(CAST(:severities AS text[]), alert.severity)
    )
""")
_CLAIM: Final = text("""
    WITH next AS (
        SELECT id FROM alert
        WHERE channel = :channel AND state = 'waiting' AND next_at <= :now
        ORDER BY next_at, finding_id LIMIT 1
        FOR UPDATE SKIP LOCKED
    )
    UPDATE alert SET attempts = attempts + 1, next_at = :until FROM next
    WHERE alert.id = next.id RETURNING alert.id
""")
_READ: Final = text("""
    SELECT alert.id::text AS id, alert.finding_id, alert.severity, alert.attempts,
           EXISTS (SELECT FROM alert AS sent WHERE sent.finding_id = alert.finding_id
                   AND sent.channel = alert.channel AND sent.state = 'sent') AS escalated,
           finding.kind, site.key AS site, site.name AS site_name, site.zone,
           pilot.key AS pilot, device.key AS device, datastream.property, datastream.unit,
           finding.started_at, finding.ended_at, finding.confidence, finding.evidence,
           finding.origin
    FROM alert
    JOIN finding ON finding.id = alert.finding_id
    JOIN pilot ON pilot.id = finding.pilot_id
    JOIN site ON site.id = pilot.site_id
    LEFT JOIN datastream ON datastream.id = finding.datastream_id
    LEFT JOIN device ON device.id = COALESCE(finding.device_id, datastream.device_id)
    WHERE alert.id = :id
""")
_SENT: Final = text("""
    UPDATE alert SET state = 'sent', sent_at = :now, next_at = NULL, error = NULL WHERE id = :id
""")
_FAILED: Final = text("""
    UPDATE alert SET error = :error, next_at = CAST(:again AS timestamptz),
                     state = CASE WHEN CAST(:again AS timestamptz) IS NULL THEN 'dead'
                                  ELSE state END
    WHERE id = :id AND state = 'waiting'
""")
_COUNTS: Final = text("""
    SELECT channel, state, count(*) AS n FROM alert GROUP BY channel, state ORDER BY 1, 2
""")
_TROUBLED: Final = text("""
    SELECT alert.id::text AS id, channel, alert.finding_id, kind, alert.severity, state, attempts,
           next_at, error
    FROM alert JOIN finding ON finding.id = finding_id
    WHERE state = 'dead' OR (state = 'waiting' AND error IS NOT NULL)
    ORDER BY alert.created_at DESC, alert.id LIMIT :most
""")
_RETRY: Final = text("""
    UPDATE alert SET state = 'waiting', attempts = 0, next_at = now() WHERE state = 'dead'
""")


class Count(NamedTuple):
    """How many alerts of a channel are in a state."""

    channel: str
    state: str
    n: int


class Troubled(NamedTuple):
    """An alert whose last attempt failed; next_at null: given up."""

    id: str
    channel: str
    finding_id: int
    kind: str
    severity: str
    state: str
    attempts: int
    next_at: datetime | None
    error: str


def claim(connection: Connection, channel: str, now: datetime, lease: timedelta) -> Alert | None:
    """The alert due first, out of reach of other workers for `lease`; None: none is due.

    A worker that dies with it leaves it due again after the lease, under the same id.
    """
    scope = {"channel": channel, "now": now}
    connection.execute(_WITHDRAWN, scope)
    while claimed := connection.scalar(_CLAIM, {**scope, "until": now + lease}):
        repeats = {"id": claimed, "severities": [*SEVERITIES]}
        if not connection.execute(_REPEATS, repeats).rowcount:
            row = connection.execute(_READ, {"id": claimed}).one()
            return Alert(**{each.name: getattr(row, each.name) for each in fields(Alert)})
    return None


def sent(connection: Connection, alert: Alert, now: datetime) -> None:
    """Record that the receiver has it."""
    connection.execute(_SENT, {"id": alert.id, "now": now})


def failed(connection: Connection, alert: Alert, error: str, again: datetime | None) -> None:
    """Record why an attempt failed and when the next is due; None: it is given up."""
    scope: dict[str, Any] = {"id": alert.id, "error": error[:ERROR_LENGTH], "again": again}
    connection.execute(_FAILED, scope)


def counts(connection: Connection) -> list[Count]:
    """Alerts by channel and state."""
    return [Count(*row) for row in connection.execute(_COUNTS)]


def troubled(connection: Connection, most: int) -> list[Troubled]:
    """The newest alerts that were given up or wait to be tried again."""
    return [Troubled(*row) for row in connection.execute(_TROUBLED, {"most": most})]


def retry(connection: Connection) -> int:
    """Make every given-up alert due now, with all its attempts; returns how many."""
    return connection.execute(_RETRY).rowcount
