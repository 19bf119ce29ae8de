"""Job `departed`: what was still open about a device when it left its pilot ends there."""

from typing import Final

from sqlalchemy import Connection, text

from services.analytics import pilot
from services.analytics.runner import Job, Progress, Slice

# A device that left, or a pilot that became of another kind: nobody judges these findings again.
# They were true, so they end, at the last that was measured: when they truly did is not known.
_END: Final = text("""
    WITH owner AS (
        SELECT * FROM unnest(CAST(:kinds AS text[]), CAST(:findings AS text[])) AS t(kind, finding)
    )
    UPDATE finding
    SET ended_at = greatest(finding.started_at, (
            SELECT max(time) FROM reading WHERE reading.datastream_id = finding.datastream_id
        )),
        evidence = finding.evidence || '{"ended": "left_pilot"}'
    FROM pilot, datastream, device
    WHERE finding.ended_at IS NULL AND finding.withdrawn_at IS NULL
      AND pilot.id = finding.pilot_id
      AND datastream.id = finding.datastream_id AND device.id = datastream.device_id
      AND finding.kind IN (SELECT finding FROM owner)
      AND (device.pilot_id IS DISTINCT FROM pilot.id
           OR (pilot.kind, finding.kind) NOT IN (SELECT kind, finding FROM owner)
           OR pilot.kind IS NULL)
""")


def work(connection: Connection, progress: Progress) -> Slice:
    """End them all: few, and none on most looks."""
    owned = [(kind.name, each.kind) for kind in pilot.kinds().values() for each in kind.findings]
    kinds, findings = zip(*owned, strict=True)
    connection.execute(_END, {"kinds": list(kinds), "findings": list(findings)})
    return Slice(progress, more=False)


JOB: Final = Job("departed", work)
