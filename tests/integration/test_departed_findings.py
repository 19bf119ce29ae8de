"""A finding still open when its device leaves the pilot: it ends, and says why."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.integration import analytics_site as world

pytestmark = pytest.mark.database
Apply = Callable[[object], list[str]]
START = datetime(2026, 3, 1, 3, tzinfo=UTC)
RULES = {"rules": [{"property": "water_level", "above": 1, "severity": "alarm"}]}


def site(pilot: str | None, kind: str | None = "threshold") -> dict[str, Any]:
    """One gauge in one of two pilots with the same rule, or in none."""
    made = world.site(("g1", "gauge"))
    params = RULES if kind else {}
    own = {"service": "SEC-02", "phase": 1, "origin": "simulated"}
    made["pilots"] += [
        {"key": "one", "kind": kind, "params": params, **own},
        {"key": "two", "kind": "threshold", "params": RULES, **own},
    ]
    made["devices"][0]["pilot"] = pilot
    return made


def findings(engine: Engine) -> list[Any]:
    """(pilot, open, why it ended), as they stand."""
    with engine.connect() as connection:
        return [
            tuple(row)
            for row in connection.execute(
                text("""
                    SELECT pilot.key, ended_at IS NULL, evidence ->> 'ended'
                    FROM finding JOIN pilot ON pilot.id = pilot_id
                    WHERE finding.kind = 'threshold' AND withdrawn_at IS NULL ORDER BY 1
                """)
            )
        ]


@pytest.fixture
def high(engine: Engine, apply_site: Apply) -> None:
    """Pilot `one` with a finding that is open."""
    apply_site(site("one"))
    gauge = world.datastream(engine, "g1", "water_level")
    times = [START + timedelta(minutes=15 * step) for step in range(4)]
    world.write(engine, gauge, [(time, 2.0, 1) for time in times])
    world.settle(engine)
    assert findings(engine) == [("one", True, None)]


@pytest.mark.usefixtures("high")
def test_a_device_that_moves_is_judged_in_its_new_pilot_alone(
    engine: Engine, apply_site: Apply
) -> None:
    apply_site(site("two"))
    world.settle(engine)
    assert findings(engine) == [("one", False, "left_pilot"), ("two", True, None)]


@pytest.mark.usefixtures("high")
def test_a_device_without_a_pilot_leaves_nothing_open(engine: Engine, apply_site: Apply) -> None:
    apply_site(site(None))
    world.settle(engine)
    assert findings(engine) == [("one", False, "left_pilot")]


@pytest.mark.usefixtures("high")
def test_a_pilot_of_no_kind_leaves_nothing_open(engine: Engine, apply_site: Apply) -> None:
    apply_site(site("one", kind=None))
    world.settle(engine)
    assert findings(engine) == [("one", False, "left_pilot")]


@pytest.mark.usefixtures("high")
def test_a_device_that_comes_back_is_judged_anew(engine: Engine, apply_site: Apply) -> None:
    apply_site(site(None))
    world.settle(engine)
    apply_site(site("one"))
    world.settle(engine)
    assert findings(engine) == [("one", True, None)]
