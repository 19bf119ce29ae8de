"""When each source and gateway was last heard, for alerts about those that fall silent."""

from typing import Final

from services.ingest.deadline import within
from shared import telemetry
from shared.db.engine import connect
from shared.db.session import INGEST_BACKLOG
from shared.settings import Database

EVERY_S: Final = 300.0
PATIENCE_S: Final = 60.0


def tell(database: Database) -> None:
    """Set both gauges from the tables, so that a restart, or another worker, changes nothing."""
    with connect(database, INGEST_BACKLOG) as connection, within(connection, PATIENCE_S):
        for source, at in connection.execute(_SOURCES):
            telemetry.SOURCE_SEEN.labels(source).set(at)
        for source, gateway, at in connection.execute(_GATEWAYS):
            telemetry.GATEWAY_SEEN.labels(source, gateway).set(at)


# A source not heard for a day is told as a day ago: how long exactly, its devices' pages know.
# `observed_at` leaves out the chunks of the past, which may be compressed.
_SOURCES: Final = """
    SELECT site.key || '.' || source.key,
           extract(epoch FROM coalesce(heard.at, now() - interval '1 day'))::float8
    FROM source
    JOIN site ON site.id = source.site_id
    LEFT JOIN (
        SELECT source_id, max(received_at) AS at FROM uplink
        WHERE received_at > now() - interval '1 day' AND observed_at > now() - interval '2 days'
        GROUP BY source_id
    ) AS heard ON heard.source_id = source.id
"""
_GATEWAYS: Final = """
    SELECT site.key || '.' || source.key, gateway_id, extract(epoch FROM last_seen)::float8
    FROM gateway
    JOIN source ON source.id = gateway.source_id
    JOIN site ON site.id = source.site_id
    WHERE last_seen > now() - interval '30 days'
    ORDER BY last_seen DESC LIMIT 2000
"""
