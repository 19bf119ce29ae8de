"""When each source and gateway was last heard, for alerts about those that fall silent."""

import threading
from typing import Final

import psycopg
import structlog

from services.ingest.deadline import within
from shared import telemetry
from shared.db.engine import DatabaseUnreachable, connect
from shared.db.session import INGEST_BACKLOG
from shared.settings import Database

log = structlog.get_logger()
EVERY_S: Final = 300.0
PATIENCE_S: Final = 60.0


def follow(database: Database, stop: threading.Event) -> threading.Thread:
    """Look from time to time, in a thread with connections of its own, until `stop` is set."""
    thread = threading.Thread(target=_follow, args=(database, stop), name="seen", daemon=True)
    thread.start()
    return thread


def _follow(database: Database, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            tell(database)
        except (psycopg.Error, DatabaseUnreachable) as error:
            log.warning("last_seen_not_read", error=str(error).splitlines()[0])
        stop.wait(EVERY_S)


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
