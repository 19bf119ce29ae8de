"""Citizen feedback: the raw message apart, and a scrubbed service request, in one transaction."""

from collections.abc import Sequence
from typing import Final

import psycopg
from psycopg.types.json import Jsonb

from services.ingest.pipeline import Prepared
from services.ingest.scrub import scrub


def insert(cursor: psycopg.Cursor, batch: Sequence[Prepared]) -> set[bytes]:
    """Write every personal message, refused ones too; returns the ids that are new."""
    new: set[bytes] = set()
    for prepared in batch:
        if not prepared.kept_apart or prepared.id in new:
            continue
        refused = prepared.refused.reason if prepared.refused else None
        message = prepared.message
        raw = cursor.execute(
            _RAW,
            [prepared.uuid, message.received_at, prepared.source.site_id, message.payload, refused],
        )
        if raw.rowcount:
            new.add(prepared.id)
            _request(cursor, prepared)
    return new


def _request(cursor: psycopg.Cursor, prepared: Prepared) -> None:
    said = prepared.feedback
    if said is None:
        return
    description, found = scrub(said.description.replace("\0", ""))
    cursor.execute(
        _REQUEST,
        {
            "feedback_id": prepared.uuid,
            "site_id": prepared.source.site_id,
            "service_code": scrub(said.service_code.replace("\0", ""))[0],
            "description": description,
            "lat": said.lat,
            "lon": said.lon,
            "rating": said.rating,
            "lang": said.lang,
            "requested_at": said.time,
            "received_at": prepared.message.received_at,
            "origin": said.origin,
            "scrubbed": Jsonb(found),
        },
    )


_RAW: Final = """
    INSERT INTO feedback_raw (feedback_id, received_at, site_id, payload, refused)
    VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
_REQUEST: Final = """
    INSERT INTO service_request (feedback_id, site_id, service_code, description, lat, lon,
        rating, lang, requested_at, received_at, origin, scrubbed)
    VALUES (%(feedback_id)s, %(site_id)s, %(service_code)s, %(description)s, %(lat)s, %(lon)s,
        %(rating)s, %(lang)s, %(requested_at)s, %(received_at)s, %(origin)s, %(scrubbed)s)
    ON CONFLICT (feedback_id) DO NOTHING
"""
