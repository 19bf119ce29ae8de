"""P1-05 from stored uplinks: values per local day, kept as published when the uplinks are gone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from services.analytics import local_time
from tests.integration import analytics_site as world

pytestmark = pytest.mark.database
Apply = Callable[[object], list[str]]
ZONE = "Asia/Jakarta"
# Some days ago: what is older than raw uplinks are kept for would be removed at once.
MIDNIGHT = local_time.midnight(
    local_time.local_date(datetime.now(UTC), ZONE) - timedelta(days=10), ZONE
)
BEGUN = MIDNIGHT.isoformat()
QUARTER = timedelta(minutes=15)
METERS = ("m1", "m2")

VALUES = """
    SELECT "to", version, numerator, denominator, n, value, ci_low, ci_high, method, coverage,
           state, reason, origin
    FROM metric_value WHERE metric = 'P1-05' ORDER BY "to", version
"""
UPLINK = text("""
    INSERT INTO uplink (uplink_id, observed_at, received_at, source_id, device_id, topic, payload,
                        event)
    SELECT :uplink_id, :observed, :received, source_id, id, 'livinglab/town/x/up', '', :event
    FROM device WHERE key = :device
""")


def meters(engine: Engine, first: int, past: int, lag_s: float = 2) -> None:
    """Messages of both meters each quarter first … past - 1 after MIDNIGHT, with their readings."""
    for key in METERS:
        send(engine, key, [(MIDNIGHT + QUARTER * i, lag_s) for i in range(first, past)])


def send(
    engine: Engine, key: str, messages: list[tuple[datetime, float]], event: str = "up"
) -> None:
    with engine.begin() as connection:
        for observed, lag_s in messages:
            said = {
                "uplink_id": str(uuid4()),
                "observed": observed,
                "received": observed + timedelta(seconds=lag_s),
                "device": key,
                "event": event,
            }
            connection.execute(UPLINK, said)
    number = world.datastream(engine, key, "water_volume_index")
    world.write(engine, number, [(observed, 1.0, 1) for observed, _ in messages])


def values(engine: Engine) -> list[dict[str, Any]]:
    world.settle(engine)
    assert world.errors(engine) == {}
    return world.rows(engine, VALUES)


@pytest.fixture
def site(apply_site: Apply) -> dict[str, Any]:
    made = world.site(*((key, "meter") for key in METERS), commissioned=BEGUN)
    apply_site(made)
    return made


def test_a_day_of_messages_has_its_value(engine: Engine, site: dict[str, Any]) -> None:  # noqa: ARG001
    meters(engine, -2, 97)
    (found,) = [row for row in values(engine) if row["to"] == MIDNIGHT + 96 * QUARTER]
    assert (found["value"], found["ci_low"], found["ci_high"]) == (2, 2, 2)
    assert (found["numerator"], found["denominator"], found["n"]) == (192, 192, 2)
    assert (found["coverage"], found["state"], found["reason"]) == (1, "pass", None)
    assert (found["method"], found["origin"]) == ("bootstrap-device-95 B=1000", "simulated")


def test_late_messages_add_a_version_and_status_events_none(
    engine: Engine,
    site: dict[str, Any],  # noqa: ARG001
) -> None:
    meters(engine, -2, 97)
    values(engine)
    send(engine, "m1", [(MIDNIGHT + QUARTER * 8.5, 5.0)], event="status")
    assert [row["version"] for row in values(engine)] == [1, 1]
    send(engine, "m1", [(MIDNIGHT + QUARTER * 8.6, 40_000.0)])
    first, second = [row for row in values(engine) if row["to"] == MIDNIGHT + 96 * QUARTER]
    assert (first["version"], second["version"]) == (1, 2)
    assert second["reason"] == "back_fill: 1 of 193 messages left out"
    assert second["value"] == first["value"]


def test_windows_whose_uplinks_are_gone_stay_as_published(
    engine: Engine, site: dict[str, Any], apply_site: Apply
) -> None:
    meters(engine, -2, 300)
    before = values(engine)
    assert len(before) == 4
    with engine.begin() as connection:
        connection.execute(
            text("DELETE FROM uplink WHERE observed_at < :before"),
            {"before": MIDNIGHT + 130 * QUARTER},
        )
    site["devices"][0]["cancelled"] = "2027-01-01"  # every window is computed again
    apply_site(site)
    assert values(engine) == before


def test_recorded_times_are_no_latency(engine: Engine, apply_site: Apply) -> None:
    recorded = world.site(*((key, "meter") for key in METERS), commissioned=BEGUN)
    for each in (*recorded["pilots"], *recorded["devices"]):
        each["origin"] = "recorded"
    apply_site(recorded)
    meters(engine, 0, 97)
    found = values(engine)[-1]
    assert (found["value"], found["state"]) == (None, "insufficient")
    assert found["reason"] == "no_exposure; replayed: times of others"
