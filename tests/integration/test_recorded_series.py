"""Recorded series through ingest: value for value, and again without change."""

import heapq
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from sqlalchemy import Engine, text

from shared.settings import Database
from simulators import clock, scenario
from simulators.scenarios.recorded import RECORDINGS, recording
from tests.integration import scenario_history
from tests.recordings import FILES, shipped

pytestmark = pytest.mark.database
EACH = 500  # of each recording; tests/e2e/test_demo.py sends them whole, through a broker
NOW = datetime(2026, 11, 22, 17, 16, 47, tzinfo=UTC)
ANCHOR = clock.anchor(NOW)


def stored(engine: Engine) -> dict[tuple[str, str, datetime], float]:
    """What stands in the database, with the devices' shift taken back."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("""
                SELECT device.key, property, time, shift_s, value FROM reading
                JOIN datastream ON datastream.id = datastream_id
                JOIN device ON device.id = device_id
            """)
        ).all()
    return {(key, prop, at - timedelta(seconds=shift)): v for key, prop, at, shift, v in rows}


def test_recorded_series_arrive_value_for_value_and_again_without_change(
    database: Database, engine: Engine
) -> None:
    scenario_history.apply(engine, scenario.known()["recorded"], ANCHOR)
    streams = [islice(recording(name).messages(ANCHOR), EACH) for name in RECORDINGS]
    sent = list(heapq.merge(*streams, key=lambda timed: timed.due))
    distinct = {timed.message.identity for timed in sent}
    scenario_history.ingest(database, sent, NOW)
    once = stored(engine)
    assert len(once) == len(distinct) > 0.9 * len(FILES) * EACH
    assert once.items() <= {k: v for name in FILES for k, v in shipped(name).items()}.items()
    assert {device for device, _, _ in once} > {"hebden-bridge", "broad-street"}

    scenario_history.ingest(database, sent, NOW)
    assert stored(engine) == once
