"""What the analysis found, as the simulators' truth speaks of it."""

from typing import Final

from sqlalchemy import Connection, text

from simulators.truth import Told

_TOLD: Final = text("""
    SELECT site.key, device.key, finding.kind, severity, started_at, ended_at
    FROM finding
    LEFT JOIN datastream ON datastream.id = finding.datastream_id
    JOIN device ON device.id = coalesce(finding.device_id, datastream.device_id)
    JOIN site ON site.id = device.site_id
    WHERE finding.withdrawn_at IS NULL AND finding.origin = 'simulated'
    ORDER BY finding.id
""")


def told(connection: Connection) -> list[Told]:
    """Every finding that stands about simulated devices; recordings come without a truth."""
    return [Told(*row) for row in connection.execute(_TOLD)]
