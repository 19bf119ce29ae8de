"""Outcome values: windows close, are versioned, and are re-opened by late data."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from sqlalchemy import Engine

from services.analytics.outcomes import exposure
from services.analytics.outcomes import job as outcomes
from services.analytics.outcomes import values as outcome_values
from services.analytics.outcomes.metric import metrics
from services.analytics.runner import Slice
from tests.integration import analytics_site as world

pytestmark = pytest.mark.database
Apply = Callable[[object], list[str]]
MIDNIGHT = datetime(2026, 3, 1, 17, tzinfo=UTC)  # 2026-03-02 00:00 in Jakarta
HOUR = timedelta(hours=1)

VALUES = """
    SELECT metric, "from", "to", version, numerator, denominator, n, value, ci_low, ci_high,
           method, coverage, state, reason, origin, phase, input_digest
    FROM metric_value ORDER BY metric, "to", "from", version
"""


def begun(*devices: tuple[str, str]) -> dict[str, Any]:
    return world.site(*devices, planned="2026-03-02", commissioned="2026-03-02")


def values(engine: Engine, metric: str, days: int) -> list[dict[str, Any]]:
    assert world.errors(engine) == {}
    return [
        row
        for row in world.rows(engine, VALUES)
        if row["metric"] == metric and round((row["to"] - row["from"]) / timedelta(days=1)) == days
    ]


def hourly_meter(engine: Engine, key: str, first: int, past: int) -> None:
    """One reading in the middle of each hour first … past - 1 after MIDNIGHT."""
    world.write(
        engine,
        world.datastream(engine, key, "water_volume_index"),
        [(MIDNIGHT + HOUR * (i + 0.5), 1 + 0.01 * i, 1) for i in range(first, past)],
    )


def test_a_window_closes_when_the_pilot_has_passed_its_end(
    apply_site: Apply, engine: Engine
) -> None:
    apply_site(begun(("m1", "meter"), ("m2", "meter")))
    hourly_meter(engine, "m1", 0, 24)
    world.settle(engine)
    assert values(engine, "P1-02", 7) == []
    hourly_meter(engine, "m1", 24, 25)
    world.settle(engine)
    (closed,) = values(engine, "P1-02", 7)
    assert closed["to"] == MIDNIGHT + 24 * HOUR
    # m1 sent all of its 24 hours, m2 none: a silent device counts as missing.
    assert (closed["numerator"], closed["denominator"], closed["n"]) == (24, 48, 2)
    assert (closed["value"], closed["ci_low"], closed["ci_high"]) == (0.5, 0, 1)
    assert (closed["method"], closed["state"]) == ("bootstrap-device-95 B=1000", "fail")
    assert (closed["origin"], closed["phase"], closed["version"]) == ("simulated", 1, 1)
    (live,) = values(engine, "P1-01", 30)
    assert (live["numerator"], live["denominator"], live["value"]) == (1, 2, 0.5)
    assert (live["state"], live["reason"]) == ("insufficient", "below_n_min: 2 of 5 devices")


def test_late_data_adds_a_version_and_the_same_input_none(
    apply_site: Apply, engine: Engine
) -> None:
    apply_site(begun(("m1", "meter"), ("m2", "meter")))
    hourly_meter(engine, "m1", 0, 49)
    world.settle(engine)
    hourly_meter(engine, "m2", 0, 12)
    world.settle(engine)
    hourly_meter(engine, "m2", 0, 12)  # repeats: the same input
    world.settle(engine)
    found = values(engine, "P1-02", 7)
    assert [(row["to"], row["version"], row["numerator"]) for row in found] == [
        (MIDNIGHT + 24 * HOUR, 1, 24),
        (MIDNIGHT + 24 * HOUR, 2, 36),
        (MIDNIGHT + 48 * HOUR, 1, 48),
        (MIDNIGHT + 48 * HOUR, 2, 60),
    ]
    assert found[0]["input_digest"] != found[1]["input_digest"]


def test_a_large_pilot_is_computed_a_few_days_at_a_time(
    apply_site: Apply, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "DEVICE_DAYS", 2)
    parts: list[tuple[object, ...]] = []
    compute = outcomes.compute
    monkeypatch.setattr(outcomes, "compute", lambda *a: parts.append(a[3:]) or compute(*a))
    apply_site(begun(("m1", "meter"), ("m2", "meter")))
    hourly_meter(engine, "m1", 0, 73)
    world.settle(engine)
    assert len([part for part in parts if part[0] == part[1]]) == len(parts) == 3
    found = [(row["numerator"], row["version"]) for row in values(engine, "P1-02", 7)]
    assert found == [(24, 1), (48, 1), (72, 1)]


def test_late_data_leaves_the_windows_before_it_alone(apply_site: Apply, engine: Engine) -> None:
    apply_site(begun(("m1", "meter"), ("m2", "meter")))
    hourly_meter(engine, "m1", 0, 49)
    world.settle(engine)
    hourly_meter(engine, "m2", 30, 31)
    world.settle(engine)
    versions = [row["version"] for row in values(engine, "P1-02", 7)]
    assert versions == [1, 1, 2]  # the first day stays at its only version


def test_a_status_of_the_network_server_activates_nothing(
    apply_site: Apply, engine: Engine
) -> None:
    site = begun(("m1", "meter"), ("m2", "meter"))
    site["profiles"][1]["fields"]["battery"] = {"property": "battery_level", "unit": "%"}
    apply_site(site)
    hourly_meter(engine, "m1", 0, 25)
    battery = world.datastream(engine, "m2", "battery_level")
    world.write(engine, battery, [(MIDNIGHT + 2 * HOUR, 90, 1)])
    world.settle(engine)
    (live,) = values(engine, "P1-01", 30)
    assert (live["numerator"], live["coverage"]) == (1, 0.5)
    (complete,) = values(engine, "P1-02", 7)
    assert complete["numerator"] == 24


def test_derived_readings_complete_nothing(apply_site: Apply, engine: Engine) -> None:
    """Consumption fills hours of a gap, but the device was silent in them."""
    site = begun(("m1", "meter"), ("m2", "meter"))
    apply_site(site)
    for first in (0, 20):
        hourly_meter(engine, "m1", first, first + 6)
    world.settle(engine)
    site["devices"][1]["cancelled"] = "2027-01-01"  # computes again, with consumption rolled up
    apply_site(site)
    world.settle(engine)
    found = values(engine, "P1-02", 7)
    assert [(row["version"], row["numerator"]) for row in found] == [(1, 10)]


def test_a_changed_registry_computes_again(apply_site: Apply, engine: Engine) -> None:
    site = begun(("m1", "meter"), ("m2", "meter"))
    apply_site(site)
    hourly_meter(engine, "m1", 0, 25)
    world.settle(engine)
    site["devices"][1]["cancelled"] = "2026-03-02T12:00"
    apply_site(site)
    world.settle(engine)
    assert [row["denominator"] for row in values(engine, "P1-02", 7)] == [48, 36]
    assert [row["denominator"] for row in values(engine, "P1-01", 30)] == [2, 1]


def test_a_raised_def_version_computes_every_window_anew_beside_the_old(
    apply_site: Apply, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply_site(begun(("m1", "meter"), ("m2", "meter")))
    hourly_meter(engine, "m1", 0, 49)
    world.settle(engine)
    raised = dataclasses.replace(metrics()["data_completeness"], def_version=2, gate=0.25)
    monkeypatch.setattr(outcomes, "metrics", lambda: {raised.name: raised})
    world.settle(engine)
    found = world.rows(
        engine,
        """
        SELECT def_version, version, state FROM metric_value
        WHERE metric = 'P1-02' AND "to" - "from" = interval '7 days' ORDER BY 1, 2, "to"
        """,
    )
    assert [tuple(row.values()) for row in found] == [
        (1, 1, "fail"),
        (1, 1, "fail"),
        (2, 1, "provisional"),
        (2, 1, "provisional"),
    ]


@pytest.mark.parametrize("changed", [{"gate": 0.5}, {"n_min": 1}, {"def_version": 2}])
def test_the_digest_covers_the_definition(changed: dict[str, Any]) -> None:
    edges, one = np.array([0.0, 3600.0]), np.ones((1, 1))
    device = exposure.Device(1, None, 0.0, None, (), 3600)
    window = exposure.tally([device], edges, edges, one, one)
    metric = metrics()["data_completeness"]
    other = dataclasses.replace(metric, **changed)
    assert outcome_values.value(metric, window).digest != outcome_values.value(other, window).digest


def test_a_message_of_several_fields_counts_once(apply_site: Apply, engine: Engine) -> None:
    site = begun(("m1", "meter"), ("m2", "meter"))
    site["profiles"][1]["fields"]["battery"] = {"property": "battery_voltage"}
    apply_site(site)
    hourly_meter(engine, "m1", 0, 25)
    battery = world.datastream(engine, "m1", "battery_voltage")
    world.write(engine, battery, [(MIDNIGHT + HOUR * (i + 0.5), 3.6, 1) for i in range(25)])
    world.settle(engine)
    assert [row["numerator"] for row in values(engine, "P1-02", 7)] == [24]


def test_windows_are_bounded_by_local_midnight_across_a_clock_change(
    apply_site: Apply, engine: Engine
) -> None:
    site = world.site(("m1", "meter"), ("m2", "meter"), zone="Europe/London")
    for device in site["devices"]:
        device["commissioned"] = "2025-10-20"
    apply_site(site)
    begins = datetime(2025, 10, 19, 23, tzinfo=UTC)
    for key in ("m1", "m2"):
        world.write(
            engine,
            world.datastream(engine, key, "water_volume_index"),
            [(begins + HOUR * (i + 0.5), 1 + 0.01 * i, 1) for i in range(7 * 24 + 2)],
        )
    world.settle(engine)
    last = values(engine, "P1-02", 7)[-1]
    assert (last["from"], last["to"]) == (begins, datetime(2025, 10, 27, tzinfo=UTC))
    assert (last["numerator"], last["denominator"]) == (338, 338)  # 169 hours, two devices
    assert last["state"] == "pass"


def test_measured_pilots_close_by_the_clock(apply_site: Apply, engine: Engine) -> None:
    site = begun(("m1", "meter"))
    site["pilots"][1]["origin"] = site["devices"][0]["origin"] = "measured"
    apply_site(site)

    def at(now: datetime, before: Slice | None) -> Slice:
        with engine.begin() as connection:
            return outcomes.work(connection, before.progress if before else {}, now)

    first = at(MIDNIGHT + 23 * HOUR, None)
    assert world.rows(engine, VALUES) == []
    at(MIDNIGHT + 24 * HOUR, first)
    (silent,) = values(engine, "P1-01", 30)
    assert (silent["to"], silent["value"]) == (MIDNIGHT + 24 * HOUR, 0)


def test_outcomes_never_run_ahead_of_the_roll_up(apply_site: Apply, engine: Engine) -> None:
    apply_site(begun(("m1", "meter"), ("m2", "meter")))
    hourly_meter(engine, "m1", 0, 25)
    with engine.begin() as connection:
        done = outcomes.work(connection, {})
    assert (done.progress["xid"], done.progress["batch_id"]) == (0, 0)
    world.settle(engine)
    assert [row["version"] for row in values(engine, "P1-02", 7)] == [1]


def test_a_long_history_is_worked_off_in_slices(apply_site: Apply, engine: Engine) -> None:
    apply_site(begun(("m1", "meter"), ("m2", "meter")))
    hourly_meter(engine, "m1", 0, 80 * 24 + 1)
    world.settle(engine)
    found = values(engine, "P1-02", 30)
    assert [row["to"] for row in found] == [MIDNIGHT + 24 * HOUR * (i + 1) for i in range(80)]
    assert {row["denominator"] for row in found[29:]} == {2 * 720}


def test_a_device_that_joins_during_a_slice_waits_for_the_next(
    apply_site: Apply, engine: Engine
) -> None:
    apply_site(begun(("m1", "meter"), ("m2", "meter")))
    hourly_meter(engine, "m1", 0, 24)
    world.settle(engine)
    with engine.connect() as connection:
        pilot = world.rows(engine, "SELECT pilot_id FROM device WHERE key = 'm1'")[0]["pilot_id"]
        members = exposure.devices(connection, pilot)
        apply_site(begun(("m1", "meter"), ("m2", "meter"), ("m3", "meter")))
        hourly_meter(engine, "m3", 0, 24)
        world.settle(engine)
        day = MIDNIGHT.astimezone(ZoneInfo("Asia/Jakarta")).date()
        seen = exposure.load(connection, members, day, day + timedelta(days=1), "Asia/Jakarta")
    assert seen.received.tolist() == [[24], [0]]
