"""reading_hourly follows `change` in the site's zone, whatever the order of arrival."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from services.analytics import rollup
from services.analytics.runner import run_slice
from tests.integration import analytics_site as world

pytestmark = pytest.mark.database
Apply = Callable[[object], list[str]]
START = datetime(2026, 3, 1, 3, tzinfo=UTC)


def cells(engine: Engine) -> list[tuple[Any, ...]]:
    found = world.rows(engine, "SELECT * FROM reading_hourly ORDER BY datastream_id, hour")
    return [tuple(row.values()) for row in found]


def follow(engine: Engine) -> None:
    while run_slice(engine, rollup.JOB):
        pass


def test_a_cell_counts_all_and_sums_the_good(apply_site: Apply, engine: Engine) -> None:
    apply_site(world.site(("g1", "gauge")))
    gauge = world.datastream(engine, "g1", "water_level")
    readings = [(0, 0.5, 1), (15, 0.25, 2), (30, 99.0, 4), (45, 1.0, 1), (59, 7.0, 3)]
    world.write(engine, gauge, [(START + timedelta(minutes=m), v, q) for m, v, q in readings])
    follow(engine)
    assert cells(engine) == [(gauge, START, 5, 3, 1.75, 0.25, 1.0, 0.5, 1.0)]


def test_a_cell_without_good_readings_has_no_figures(apply_site: Apply, engine: Engine) -> None:
    apply_site(world.site(("g1", "gauge")))
    gauge = world.datastream(engine, "g1", "water_level")
    world.write(engine, gauge, [(START, 99.0, 4)])
    follow(engine)
    assert cells(engine) == [(gauge, START, 1, 0, None, None, None, None, None)]


@pytest.mark.parametrize(
    ("zone", "moment", "hour"),
    [
        ("Asia/Jakarta", "2026-03-01T03:59", "2026-03-01T03:00"),
        ("Asia/Yangon", "2026-03-01T03:15", "2026-03-01T02:30"),
        ("Asia/Yangon", "2026-03-01T03:30", "2026-03-01T03:30"),
        # London, clocks back: 01:30 local happens twice and stays two hours.
        ("Europe/London", "2025-10-26T00:30", "2025-10-26T00:00"),
        ("Europe/London", "2025-10-26T01:30", "2025-10-26T01:00"),
        # Lord Howe, half an hour forward at 02:00: the hour of 02:30 begins before the change.
        ("Australia/Lord_Howe", "2025-10-04T15:40", "2025-10-04T15:00"),
        ("Australia/Lord_Howe", "2025-10-04T15:20", "2025-10-04T14:30"),
    ],
)
def test_hours_are_those_of_the_zone(
    apply_site: Apply, engine: Engine, zone: str, moment: str, hour: str
) -> None:
    apply_site(world.site(("g1", "gauge"), zone=zone))
    gauge = world.datastream(engine, "g1", "water_level")
    world.write(engine, gauge, [(datetime.fromisoformat(moment).replace(tzinfo=UTC), 1.0, 1)])
    follow(engine)
    assert [cell[1].isoformat() for cell in cells(engine)] == [f"{hour}:00+00:00"]


def test_any_order_of_arrival_gives_the_same_table(apply_site: Apply, engine: Engine) -> None:
    apply_site(world.site(("g1", "gauge"), ("g2", "gauge")))
    gauges = [world.datastream(engine, key, "water_level") for key in ("g1", "g2")]
    order = random.Random(4)
    batches = [
        (gauge, [(START + timedelta(minutes=7 * i), order.uniform(0, 1e6), 1 + i % 3)])
        for gauge in gauges
        for i in range(60)
    ]
    tables = []
    for _ in range(3):
        order.shuffle(batches)
        for count, (gauge, readings) in enumerate(batches):
            world.write(engine, gauge, readings)
            if count % 17 == 0:
                follow(engine)
        follow(engine)
        tables.append(cells(engine))
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM reading"))
            connection.execute(text("DELETE FROM reading_hourly"))
    assert len(tables[0]) == 14
    assert tables[0] == tables[1] == tables[2]


def test_a_cell_whose_readings_are_gone_is_removed(apply_site: Apply, engine: Engine) -> None:
    apply_site(world.site(("g1", "gauge")))
    gauge = world.datastream(engine, "g1", "water_level")
    world.write(engine, gauge, [(START, 1.0, 1)])
    follow(engine)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM reading"))
        rollup.recompute(connection, [(gauge, START)])
    assert cells(engine) == []


def test_a_running_transaction_delays_but_loses_nothing(apply_site: Apply, engine: Engine) -> None:
    """The slow batch commits after a later one was followed: its hour must still appear."""
    apply_site(world.site(("g1", "gauge")))
    gauge = world.datastream(engine, "g1", "water_level")
    # A hypertable makes one chunk at a time: the slow transaction must not be making this one.
    world.write(engine, gauge, [(START - timedelta(hours=1), 0.5, 1)])
    follow(engine)
    before = cells(engine)
    slow = engine.connect()
    slow.execute(
        text("INSERT INTO change (datastream_ids, hours) VALUES (:ids, :hours)"),
        {"ids": [gauge], "hours": [START]},
    )
    slow.execute(
        text("INSERT INTO reading VALUES (:time, :id, 1.0, 1)"), {"time": START, "id": gauge}
    )
    world.write(engine, gauge, [(START + timedelta(hours=5), 2.0, 1)])
    follow(engine)
    assert cells(engine) == before
    slow.commit()
    slow.close()
    follow(engine)
    late = [cell[1] for cell in cells(engine) if cell not in before]
    assert late == [START, START + timedelta(hours=5)]


def test_following_again_writes_nothing(apply_site: Apply, engine: Engine) -> None:
    apply_site(world.site(("g1", "gauge")))
    world.write(engine, world.datastream(engine, "g1", "water_level"), [(START, 1.0, 1)])
    follow(engine)
    before = world.rows(engine, "SELECT xmin::text, * FROM job")
    follow(engine)
    assert world.rows(engine, "SELECT xmin::text, * FROM job") == before
