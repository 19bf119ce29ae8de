"""A parking pilot of bays and counted car parks, what they say, and what is made of it."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from tests.integration import analytics_site as world

START = datetime(2026, 3, 1, 17, tzinfo=UTC)  # Monday, 00:00 in Jakarta
MINUTE = timedelta(minutes=1)
DAY_MIN = 24 * 60

LIVE = """
    SELECT device.key AS device, finding.kind, severity, started_at, ended_at, evidence
    FROM finding JOIN datastream ON datastream.id = datastream_id
    JOIN device ON device.id = datastream.device_id
    WHERE withdrawn_at IS NULL ORDER BY started_at, device.key, finding.kind
"""
DERIVED = """
    SELECT property, device.key AS device, channel, time, value, quality
    FROM reading JOIN datastream ON datastream.id = datastream_id
    JOIN device ON device.id = device_id
    WHERE derived_by = 'parking' ORDER BY property, device.key, channel, time
"""

BEHIND = """
    SELECT FROM change, job WHERE job.name = 'pilot:parking'
      AND (change.xid::text::bigint, batch_id)
        > ((progress ->> 'xid')::bigint, (progress ->> 'batch_id')::bigint)
"""


def site(
    *bays: str, counts: tuple[str, ...] = (), origin: str = "simulated", **params: Any
) -> dict[str, Any]:
    """Bays and counted car parks of one pilot; bays give a sign of life every four hours."""
    made = world.site()
    made["profiles"] = [
        {
            "key": "bay",
            "interval_s": 4 * 3600,
            "fields": {"occupied": {"property": "bay_occupied", "unit": "1"}},
        },
        {
            "key": "count",
            "interval_s": 1800,
            "fields": {"vehicles": {"property": "parking_occupied", "unit": "1"}},
        },
    ]
    made["pilots"] = [
        {
            "key": "parking",
            "service": "MOB-02",
            "kind": "parking",
            "phase": 1,
            "origin": origin,
            "params": params,
        }
    ]
    made["devices"] = [
        {"key": key, "pilot": "parking", "profile": profile, "source": "plain", "origin": origin}
        for profile, keys in (("bay", bays), ("count", counts))
        for key in keys
    ]
    return made


def minutes(*states: tuple[float, float]) -> list[world.Reading]:
    """Readings at (minutes after START, state)."""
    return world.good([(START + MINUTE * at, float(value)) for at, value in states])


def say(engine: Engine, bay: str, *states: tuple[float, float]) -> None:
    world.write(engine, world.datastream(engine, bay, "bay_occupied"), minutes(*states))


def settle(engine: Engine) -> None:
    """Until nothing is left, also what an older transaction of the server's own held back."""
    world.settle(engine)
    give_up = time.monotonic() + 60
    while world.rows(engine, BEHIND):
        assert time.monotonic() < give_up, "changes stay unseen"
        time.sleep(0.02)
        world.settle(engine)


def live(engine: Engine) -> list[dict[str, Any]]:
    assert world.errors(engine) == {}
    return world.rows(engine, LIVE)


def derived(engine: Engine, name: str, channel: str = "all") -> list[tuple[float, float, int]]:
    """(hours after START, value, quality) of a derived series."""
    assert world.errors(engine) == {}
    return [
        ((row["time"] - START) / MINUTE / 60, round(row["value"], 6), row["quality"])
        for row in world.rows(engine, DERIVED)
        if (row["property"], row["channel"]) == (name, channel)
    ]
