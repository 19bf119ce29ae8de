"""Simulated scenarios through ingest and analysis: all that was planted is found, nothing else."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from services.analytics import silent
from services.analytics.runner import Job, run_slice
from services.cli import found
from shared.settings import Database
from simulators import clock, scenario
from simulators.truth import judge
from tests.integration import scenario_history
from tests.integration.analytics_site import errors, settle

pytestmark = pytest.mark.database

KINDS = {
    "bandung-poc": {"threshold", "water_quality", "silent"},
    "cibinong-testbed": {
        *("flood", "meter_gap", "meter_reset", "continuous_flow"),
        *("leakage", "overstay", "full", "silent"),
    },
}


def look_for_silence(engine: Engine) -> None:
    """Once more, a while later: the present of a simulated pilot has to stand to be believed."""
    later = datetime.now(UTC) + 2 * silent.SETTLED
    run_slice(engine, Job("silent", lambda c, p: silent.work(c, p, later)))


def truth_is_found(name: str, now: datetime, seed: int, database: Database, engine: Engine) -> None:
    chosen, anchor = scenario.known()[name], clock.anchor(now)
    scenario_history.apply(engine, chosen, anchor)
    sent = scenario_history.ingest(database, chosen.messages(anchor, now, seed), now)
    assert sent > 20_000
    settle(engine)
    look_for_silence(engine)
    assert errors(engine) == {}
    with engine.connect() as connection:
        verdict = judge(chosen.planted(anchor, now, seed), found.told(connection), now)
    assert {row.finding for row in verdict.due} == KINDS[name]
    assert verdict.missing == []
    assert verdict.excess == []


@pytest.mark.long  # tests/e2e/test_demo.py asks the same of a demo, once
def test_all_that_was_planted_at_bandung_is_found(database: Database, engine: Engine) -> None:
    now = datetime(2026, 11, 22, 17, 16, 47, tzinfo=UTC)
    truth_is_found("bandung-poc", now, 1, database, engine)


@pytest.mark.long
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("seed", "now"),
    [  # other weather, other hours of the day, the turn of a year
        (2, datetime(2026, 3, 5, 2, 40, tzinfo=UTC)),
        (3, datetime(2026, 6, 17, 9, 5, tzinfo=UTC)),
        (4, datetime(2026, 8, 30, 14, 59, tzinfo=UTC)),
        (5, datetime(2026, 1, 1, 6, 1, tzinfo=UTC)),
    ],
)
def test_all_that_was_planted_is_found_whatever_the_day(
    name: str, seed: int, now: datetime, database: Database, engine: Engine
) -> None:
    truth_is_found(name, now, seed, database, engine)


def test_a_truth_nobody_told_is_missed_and_a_finding_nobody_planted_is_told() -> None:
    now = datetime(2026, 11, 22, 17, 0, tzinfo=UTC)
    rows = [row for row in scenario.known()["bandung-poc"].planted(now, now, 1) if row.due]
    nothing = judge(rows, [], now)
    assert nothing.missing == nothing.due != []
    row = next(row for row in rows if row.finding == "threshold")
    ours = found.Told(row.site, row.device, "threshold", "warning", row.start, row.end)
    early = ours._replace(start=row.start - timedelta(days=3), end=row.start - timedelta(days=2))
    verdict = judge(rows, [ours, early, ours._replace(kind="silent")], now)
    assert row not in verdict.missing
    assert verdict.unplanted == [early, ours._replace(kind="silent")]
    assert verdict.excess == [ours._replace(kind="silent")]


def test_one_finding_a_month_and_site_that_nobody_planted_is_let_pass() -> None:
    now = datetime(2026, 11, 22, 17, 0, tzinfo=UTC)

    def told(site: str, days_ago: int) -> found.Told:
        return found.Told(site, "gauge-1", "silent", "warning", now - timedelta(days_ago), now)

    few = [told("a", 31), told("b", 29), told("a", 0)]
    assert judge([], few, now).excess == []
    assert judge([], [*few, told("b", 0), told("a", 30)], now).excess == [
        told("a", 30),
        told("b", 0),
    ]
