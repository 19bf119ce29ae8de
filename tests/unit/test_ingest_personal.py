"""Personal text never reaches the rejects, not even when its source has just gone."""

from datetime import UTC, datetime

from services.ingest import rejects
from services.ingest.fleet import Fleet
from services.ingest.main import known_adapters
from services.ingest.pipeline import prepare
from services.ingest.uplink import Message


def test_feedback_without_a_source_is_counted_but_its_text_is_not_kept() -> None:
    said = Message("livinglab/gone/feedback", b'{"description": "I am Budi"}', datetime.now(UTC))
    prepared = prepare(said, Fleet([], {}), known_adapters())
    assert prepared.refused is not None
    assert prepared.refused.reason == "unknown_source"
    assert not prepared.kept_apart
    assert b"Budi" not in b"".join(
        part for part in rejects._columns(rejects._message(prepared)) if isinstance(part, bytes)
    )
