"""Silent devices: told when they stop, closed when they speak, undone by late data, never twice."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Engine, text

from services.analytics import silent
from services.analytics.alerts import announce
from services.analytics.runner import Progress
from shared.settings import Alerts
from tests.integration import analytics_site as world

pytestmark = pytest.mark.database
Apply = Callable[[object], list[str]]
START = datetime(2026, 3, 1, tzinfo=UTC)
STEP = timedelta(minutes=15)  # the gauges' interval: silent after 45 minutes
LIVE = """
    SELECT device.key AS device, started_at, ended_at FROM finding
    JOIN device ON device.id = finding.device_id
    WHERE finding.kind = 'silent' AND withdrawn_at IS NULL ORDER BY started_at, device.key
"""


def at(step: float) -> datetime:
    return START + step * STEP


class Watch:
    """The job as a service runs it: each look goes on from the one before."""

    def __init__(self, engine: Engine, first: datetime = START) -> None:
        self.engine = engine
        self.progress: Progress = {}
        self.look(first)

    def look(self, now: datetime) -> list[tuple[str, float, float | None]]:
        """Silent devices: key, start and end in steps."""
        with self.engine.begin() as connection:
            self.progress = silent.work(connection, self.progress, now).progress
        return [
            (row["device"], step(row["started_at"]), row["ended_at"] and step(row["ended_at"]))
            for row in world.rows(self.engine, LIVE)
        ]


def step(moment: datetime) -> float:
    return (moment - START) / STEP


def site(*devices: str, origin: str = "measured", **more: object) -> dict[str, Any]:
    """Gauges of one pilot; `more` goes to every device."""
    made = world.site(*((key, "gauge") for key in devices))
    for part in (*made["pilots"], *made["devices"]):
        part["origin"] = origin
    for device in made["devices"]:
        device.update(more)
    return made


def heard(engine: Engine, device: str, steps: Sequence[float]) -> None:
    number = world.datastream(engine, device, "water_level")
    world.write(engine, number, world.good([(at(each), 0.1) for each in steps]))


def test_a_device_is_silent_after_three_intervals_until_it_speaks(
    engine: Engine, apply_site: Apply
) -> None:
    apply_site(site("g1"))
    watch = Watch(engine)
    heard(engine, "g1", [0, 1])
    assert watch.look(at(4)) == []
    assert watch.look(at(4.1)) == [("g1", 1, None)]
    assert watch.look(at(40)) == [("g1", 1, None)]
    heard(engine, "g1", [41, 42])
    assert watch.look(at(42)) == [("g1", 1, 41)]
    assert watch.look(at(46)) == [("g1", 1, 41), ("g1", 42, None)]
    written = world.rows(engine, "SELECT count(*) AS n FROM finding WHERE kind = 'silent'")
    assert written == [{"n": 2}]
    (evidence, _) = world.rows(engine, "SELECT evidence, severity FROM finding")
    assert evidence == {
        "evidence": {"interval_s": 900, "limit_s": 2700.0},
        "severity": "warning",
    }


@pytest.mark.parametrize(
    ("late", "left"),
    [
        ([3, 6, 9], [("g1", 9, None)]),  # it spoke all the time, and then fell silent
        ([9], [("g1", 1, 9), ("g1", 9, None)]),
        ([3, 6, 9, 12, 15, 18], []),
    ],
)
def test_late_data_shortens_or_undoes_what_is_open(
    engine: Engine, apply_site: Apply, late: list[float], left: list[object]
) -> None:
    apply_site(site("g1"))
    watch = Watch(engine)
    heard(engine, "g1", [0, 1])
    assert watch.look(at(20)) == [("g1", 1, None)]
    heard(engine, "g1", late)
    assert watch.look(at(20)) == left
    if left:
        query = "SELECT count(*) AS n FROM finding WHERE withdrawn_at IS NULL OR superseded_by > 0"
        assert world.rows(engine, query)[0]["n"] >= len(left)


def test_late_data_undoes_what_had_ended(engine: Engine, apply_site: Apply) -> None:
    apply_site(site("g1"))
    watch = Watch(engine)
    heard(engine, "g1", [0])
    watch.look(at(10))
    heard(engine, "g1", [10])
    assert watch.look(at(10)) == [("g1", 0, 10)]
    heard(engine, "g1", [2])
    assert watch.look(at(10)) == [("g1", 2, 10)]
    heard(engine, "g1", [4, 6, 8])
    assert watch.look(at(10)) == []


def test_only_a_device_in_service_can_be_silent(engine: Engine, apply_site: Apply) -> None:
    apply_site(site("g1"))
    watch = Watch(engine)
    assert watch.look(at(90)) == []  # nobody says since when it should speak
    apply_site(site("g1", commissioned=at(100).isoformat()))
    assert watch.look(at(103)) == []
    assert watch.look(at(104)) == [("g1", 100, None)]
    maintained = [[at(110).isoformat(), at(120).isoformat()]]
    apply_site(site("g1", commissioned=at(100).isoformat(), maintenance=maintained))
    assert watch.look(at(115)) == [("g1", 100, 110)]
    assert watch.look(at(122)) == [("g1", 100, 110)]
    assert watch.look(at(124)) == [("g1", 100, 110), ("g1", 120, None)]
    apply_site(
        site(
            "g1",
            maintenance=maintained,
            commissioned=at(100).isoformat(),
            cancelled=at(122).isoformat(),
        )
    )
    assert watch.look(at(125)) == [("g1", 100, 110)]


def test_a_status_of_the_network_server_is_no_sign_of_life(
    engine: Engine, apply_site: Apply
) -> None:
    told = site("g1")
    told["profiles"][0]["fields"]["battery"] = {"property": "battery_level", "unit": "%"}
    apply_site(told)
    watch = Watch(engine)
    heard(engine, "g1", [0])
    world.write(engine, world.datastream(engine, "g1", "battery_level"), [(at(20), 90, 1)])
    assert watch.look(at(22)) == [("g1", 0, None)]
    heard(engine, "g1", [24])
    assert watch.look(at(24)) == [("g1", 0, 24)]


def test_nobody_is_silent_whose_interval_is_unknown(engine: Engine, apply_site: Apply) -> None:
    apply_site(site("g1"))
    watch = Watch(engine)
    heard(engine, "g1", [0])
    assert watch.look(at(9)) == [("g1", 0, None)]
    unknown = site("g1")
    unknown["profiles"][0]["interval_s"] = None
    apply_site(unknown)
    assert watch.look(at(9)) == []


def test_a_device_that_leaves_its_pilot_is_no_longer_silent_in_it(
    engine: Engine, apply_site: Apply
) -> None:
    apply_site(site("g1"))
    watch = Watch(engine)
    heard(engine, "g1", [0])
    assert watch.look(at(9)) == [("g1", 0, None)]
    apply_site(site("g1", pilot=None))
    assert watch.look(at(9)) == []


def test_a_fast_device_may_pause_for_five_minutes(engine: Engine, apply_site: Apply) -> None:
    fast = site("g1")
    fast["profiles"][0]["interval_s"] = 10
    apply_site(fast)
    watch = Watch(engine)
    heard(engine, "g1", [0])
    assert watch.look(START + timedelta(seconds=300)) == []
    assert watch.look(START + timedelta(seconds=301)) == [("g1", 0, None)]


def test_a_pilot_without_a_kind_has_silent_devices_too(engine: Engine, apply_site: Apply) -> None:
    observed = site("g1")
    observed["pilots"][0]["kind"] = None
    apply_site(observed)
    watch = Watch(engine)
    heard(engine, "g1", [0])
    assert watch.look(at(9)) == [("g1", 0, None)]


def test_a_simulated_device_is_silent_by_what_the_others_said(
    engine: Engine, apply_site: Apply
) -> None:
    apply_site(site("g1", "g2", origin="simulated"))
    watch = Watch(engine)
    heard(engine, "g1", [0])
    heard(engine, "g2", [0, 1, 2])
    assert watch.look(at(50)) == []
    heard(engine, "g2", [3, 4])
    assert watch.look(at(4)) == [("g1", 0, None)]
    heard(engine, "g1", [5])
    assert watch.look(at(5)) == [("g1", 0, 5)]


def test_a_simulated_pilot_that_rests_as_a_whole_is_not_silent(
    engine: Engine, apply_site: Apply
) -> None:
    apply_site(site("g1", "g2", origin="recorded"))
    watch = Watch(engine)
    heard(engine, "g1", [0, 1, 2])
    heard(engine, "g2", [0, 1])
    assert watch.look(at(60)) == []  # the night
    heard(engine, "g2", [60])
    assert watch.look(at(60)) == []  # it comes first in the morning
    heard(engine, "g2", [61])
    assert watch.look(at(61)) == []
    heard(engine, "g2", [62, 63])
    assert watch.look(at(63)) == [("g1", 2, None)]


def test_a_past_being_filled_in_is_not_judged_until_it_stands(
    engine: Engine, apply_site: Apply
) -> None:
    apply_site(site("g1", "g2", origin="simulated"))
    now = START + timedelta(days=35)
    watch = Watch(engine, now)
    heard(engine, "g1", [0])
    for upto in range(4, 12):
        heard(engine, "g2", [upto])
        assert watch.look(now + upto * timedelta(seconds=20)) == []
    assert watch.look(now + timedelta(minutes=10)) == [("g1", 0, None)]


def test_who_is_silent_at_the_first_look_of_all_is_found_and_not_sent(
    engine: Engine, apply_site: Apply
) -> None:
    apply_site(site("g1", "g2"))
    heard(engine, "g1", [0])
    watch = Watch(engine, at(8))
    heard(engine, "g2", [8])
    assert watch.look(at(15)) == [("g1", 0, None), ("g2", 8, None)]
    hook = Alerts(webhook_url="http://127.0.0.1:9", webhook_secret="0123456789abcdef")
    with engine.begin() as connection:
        announce.work(connection, {}, hook, at(15))
        told = connection.execute(
            text(
                "SELECT key FROM alert JOIN finding ON finding_id = finding.id"
                " JOIN device ON device.id = device_id"
            )
        ).scalars()
        assert [*told] == ["g2"]


def test_looking_again_writes_nothing(engine: Engine, apply_site: Apply) -> None:
    apply_site(site("g1"))
    watch = Watch(engine)
    heard(engine, "g1", [0])
    watch.look(at(9))
    before = world.rows(engine, "SELECT xmin::text, * FROM finding"), watch.progress
    watch.look(at(19))
    assert (world.rows(engine, "SELECT xmin::text, * FROM finding"), watch.progress) == before


@pytest.mark.parametrize("seed", range(5))
def test_whatever_order_readings_arrive_in_what_stands_is_true(
    engine: Engine, apply_site: Apply, seed: int
) -> None:
    chance = random.Random(seed)
    spoken = sorted(chance.sample(range(120), 30))
    apply_site(site("g1"))
    watch = Watch(engine)
    heard(engine, "g1", spoken[:1])
    left = spoken[1:]
    for now in range(spoken[0], 125, 4):
        arrived = [each for each in left if each <= now and chance.random() < 0.5]
        if arrived:
            heard(engine, "g1", arrived)
        left = [each for each in left if each not in arrived]
        watch.look(at(now))
    if left:
        heard(engine, "g1", left)
    stands = watch.look(at(130))
    assert stands[-1] == ("g1", spoken[-1], None)
    gaps = [(a, b) for a, b in pairwise(spoken) if b - a > 3]
    assert {(a, b) for _, a, b in stands[:-1]} <= set(gaps)
    assert len(stands) > 1
