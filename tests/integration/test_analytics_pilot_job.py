"""Which datastreams a pilot's job analyses again, and in how large parts."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine

from services.analytics import pilot, pilot_job
from services.analytics.pilot import Pilot, Touched
from services.analytics.runner import Job, run_slice
from tests.integration import analytics_site as world

pytestmark = pytest.mark.database
Apply = Callable[[object], list[str]]
Seen = list[dict[str, datetime]]
START = datetime(2026, 3, 1, 3, tzinfo=UTC)


@pytest.fixture
def seen() -> Seen:
    """The devices of each part that was analysed, with the hour they were analysed from."""
    return []


@pytest.fixture
def job(seen: Seen) -> Job:
    def analyse(_: Connection, __: Pilot, touched: Touched) -> None:
        seen.append({each.device: hour for each, hour in touched.items()})

    return pilot_job.job(dataclasses.replace(pilot.kinds()["flood"], analyse=analyse))


def follow(engine: Engine, job: Job) -> int:
    """How many slices it took."""
    slices = 1
    while run_slice(engine, job):
        slices += 1
    return slices


def level(engine: Engine, key: str, count: int = 1) -> None:
    gauge = world.datastream(engine, key, "water_level")
    world.write(engine, gauge, [(START + timedelta(minutes=i), 0.5, 1) for i in range(count)])


def test_a_new_device_brings_only_its_own_datastreams(
    apply_site: Apply, engine: Engine, job: Job, seen: Seen
) -> None:
    apply_site(world.site(("g1", "gauge"), ("g2", "gauge")))
    follow(engine, job)
    assert seen == [{"g1": pilot_job.BEGINNING, "g2": pilot_job.BEGINNING}]
    apply_site(world.site(("g1", "gauge"), ("g2", "gauge"), ("g3", "gauge")))
    level(engine, "g1")
    follow(engine, job)
    assert seen[1:] == [{"g1": START, "g3": pilot_job.BEGINNING}]
    follow(engine, job)
    assert len(seen) == 2


def test_when_a_device_has_left_the_others_are_judged_anew(
    apply_site: Apply, engine: Engine, job: Job, seen: Seen
) -> None:
    site = world.site(("g1", "gauge"), ("g2", "gauge"))
    apply_site(site)
    level(engine, "g1")
    follow(engine, job)
    site["devices"][1]["pilot"] = None
    apply_site(site)
    follow(engine, job)
    assert seen[1:] == [{"g1": pilot_job.BEGINNING}]
    follow(engine, job)
    assert len(seen) == 2


def test_new_params_or_another_zone_judge_everything_anew(
    apply_site: Apply, engine: Engine, job: Job, seen: Seen
) -> None:
    site = world.site(("g1", "gauge"), ("g2", "gauge"))
    apply_site(site)
    follow(engine, job)
    site["pilots"][0]["params"]["hysteresis_m"] = 0.2
    apply_site(site)
    follow(engine, job)
    site["site"]["zone"] = "Asia/Makassar"
    apply_site(site)
    follow(engine, job)
    assert seen == [{"g1": pilot_job.BEGINNING, "g2": pilot_job.BEGINNING}] * 3


def test_long_histories_are_analysed_alone_and_one_a_slice_at_least(
    apply_site: Apply, engine: Engine, job: Job, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pilot_job, "LONG", 100)
    monkeypatch.setattr(pilot_job, "SLICE_S", 0.0)
    apply_site(world.site(*((key, "gauge") for key in ("g1", "g2", "g3", "g4"))))
    for key, count in (("g1", 99), ("g2", 100), ("g3", 150)):
        level(engine, key, count)
    assert follow(engine, job) == 3
    assert [sorted(part) for part in seen] == [["g1", "g4"], ["g2"], ["g3"]]


def test_what_is_due_is_touched_once_the_present_reaches_it(
    apply_site: Apply, engine: Engine
) -> None:
    moment = START + timedelta(hours=3)
    seen: list[tuple[dict[str, datetime], datetime | None]] = []

    def analyse(_: Connection, flood: Pilot, touched: Touched) -> dict[int, datetime]:
        seen.append(({each.device: hour for each, hour in touched.items()}, flood.present))
        return {each.id: moment for each in touched if each.device == "g1" and len(seen) == 1}

    job = pilot_job.job(dataclasses.replace(pilot.kinds()["flood"], analyse=analyse))
    apply_site(world.site(("g1", "gauge"), ("g2", "gauge")))
    level(engine, "g1")
    follow(engine, job)
    assert [present for _, present in seen] == [START]
    gauge = world.datastream(engine, "g2", "water_level")
    world.write(engine, gauge, [(moment - timedelta(seconds=1), 0.5, 1)])
    follow(engine, job)
    assert [sorted(touched) for touched, _ in seen] == [["g1", "g2"], ["g2"]]
    world.write(engine, gauge, [(moment, 0.5, 1)])
    follow(engine, job)
    assert seen[2] == ({"g1": moment, "g2": moment}, moment)
    follow(engine, job)
    assert len(seen) == 3


def test_what_is_due_waits_for_an_analysis_that_failed(apply_site: Apply, engine: Engine) -> None:
    calls: list[datetime] = []

    def analyse(_: Connection, __: Pilot, touched: Touched) -> dict[int, datetime]:
        calls.append(min(touched.values()))
        if len(calls) == 2:
            raise ValueError("not this time")
        return {each.id: START for each in touched} if len(calls) == 1 else {}

    job = pilot_job.job(dataclasses.replace(pilot.kinds()["flood"], analyse=analyse))
    apply_site(world.site(("g1", "gauge")))
    level(engine, "g1")
    for _ in range(4):
        follow(engine, job)
    assert calls == [pilot_job.BEGINNING, START, START]


def test_a_kind_may_have_all_of_a_pilot_at_once(
    apply_site: Apply, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pilot_job, "AT_ONCE", 1)
    parts: list[int] = []

    def analyse(_: Connection, __: Pilot, touched: Touched) -> None:
        parts.append(len(touched))

    flood = pilot.kinds()["flood"]
    job = pilot_job.job(dataclasses.replace(flood, analyse=analyse, whole=True))
    apply_site(world.site(*((key, "gauge") for key in ("g1", "g2", "g3"))))
    follow(engine, job)
    assert parts == [3]
