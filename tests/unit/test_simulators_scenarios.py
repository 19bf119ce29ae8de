"""Scenarios: applicable site files, the same bytes at every start, planted facts found."""

import csv
import gzip
import json
import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, takewhile
from pathlib import Path

import orjson
import pytest

import simulators
from services.analytics.pilot import kinds
from services.ingest.main import known_adapters
from shared import catalogue
from shared.domain import topic
from shared.site_file import SiteFile, parse, require_known
from simulators import clock, run, scenario
from simulators.message import Message, Timed

NOW = datetime(2026, 11, 22, 17, 16, 47, tzinfo=UTC)
ANCHOR = clock.anchor(NOW)
NAMES = ["cibinong-testbed", "bandung-poc", "recorded"]
BENCHES = {"c1b1000000000201", "c1b1000000000202", "c1b10000000005ff", "bad6000000000311"}
FIRST = None if "LAB_TEST_FULL" in os.environ else 5_000  # of a past that is made once more
DATA = Path(simulators.__file__).parent / "data"


def past(name: str, now: datetime = NOW, first: int | None = FIRST) -> list[Message]:
    stream = scenario.known()[name].messages(ANCHOR, now, 1)
    due = takewhile(lambda timed: timed.due < now, stream)
    return [timed.message for timed in islice(due, first)]


@cache
def whole_past(name: str) -> list[Message]:
    return past(name, first=None)


def sites(name: str) -> list[SiteFile]:
    return [parse(content) for content in scenario.known()[name].site_files(ANCHOR)]


def about(message: Message) -> tuple[str, str]:
    """Topic and event time: what may carry one content only."""
    return message.topic, orjson.loads(message.payload)["time"]


def test_scenarios_are_found_by_name() -> None:
    assert set(NAMES) <= set(scenario.known())
    with pytest.raises(scenario.UnknownScenario, match=r"'nope' is unknown; there are: .*cibinong"):
        scenario.named(["recorded", "nope"])


@pytest.mark.parametrize("name", NAMES)
def test_site_files_name_only_what_the_services_know(name: str) -> None:
    for file in sites(name):
        require_known(
            file,
            adapters=known_adapters(),
            kinds=kinds(),
            services=catalogue.service_keys(),
        )
        assert {pilot.origin for pilot in file.pilots} == {scenario.known()[name].origin}


@pytest.mark.parametrize("name", NAMES)
def test_every_message_has_its_source_and_its_device(name: str) -> None:
    filters = [f for file in sites(name) for s in file.sources for f in s.filters]
    named = {f"livinglab/{file.site.key}/{d.key}/up" for file in sites(name) for d in file.devices}
    radio = {d.id for file in sites(name) for d in file.devices}
    for one in {message.topic for message in past(name)}:
        assert sum(topic.matches(each, one) for each in filters) == 1
        if one.startswith("application/"):
            assert f"eui:{one.split('/')[3]}" in radio
        else:
            assert one in named or one.endswith("/feedback")


def test_another_seed_gives_other_values() -> None:
    streams = [scenario.known()[NAMES[0]].messages(ANCHOR, NOW, seed) for seed in (1, 2)]
    ours, theirs = ({t.message.identity for t in islice(each, 2000)} for each in streams)
    assert ours.isdisjoint(theirs)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_bytes_days_later_too(name: str) -> None:
    first = {about(m): m.payload for m in past(name)}
    again = {about(m): m.payload for m in past(name, NOW + timedelta(days=9))}
    shared = first.keys() & again.keys()
    assert len(shared) > (20_000 if FIRST is None else 0.9 * FIRST)
    assert all(first[each] == again[each] for each in shared)
    missing = {one.split("/")[3] for one, _ in first.keys() - again.keys()}
    assert missing <= BENCHES, "only the old hours of what stands on a bench"


def test_what_follows_the_past_is_due_from_now_on() -> None:
    future: list = []
    stream = scenario.known()["bandung-poc"].messages(ANCHOR, NOW, 1)
    before = list(run.interleaved([stream], NOW, future))
    after: list[Timed] = list(islice(future[0], 50))
    assert max(timed.due for timed in before) < NOW <= min(timed.due for timed in after)
    assert (after[-1].due - NOW) < timedelta(minutes=10), "the page moves every few seconds"


def test_scenarios_advance_together() -> None:
    both = (NAMES[0], "recorded")
    streams = [scenario.known()[name].messages(ANCHOR, NOW, 1) for name in both]
    merged = run.interleaved(streams, NOW, [])
    sent = Counter(timed.message.topic.split("/")[0] for timed in islice(merged, 4000))
    assert set(sent) == {"application", "livinglab"}
    assert min(sent.values()) > 300


def test_the_recorded_messages_are_the_shipped_rows() -> None:
    shift = {d.key: timedelta(seconds=d.shift_s) for f in sites("recorded") for d in f.devices}
    assert len({*shift.values()}) == 3
    assert all(each % clock.WEEK == timedelta(0) for each in shift.values())
    sent = Counter()
    for message in whole_past("recorded"):
        body, device = json.loads(message.payload), message.topic.split("/")[2]
        time = datetime.fromisoformat(body["time"]) - shift[device]
        ((field, value),) = body["values"].items()
        sent[device, field, time, value] += 1
    files = ("calder_valley", "birmingham_car_parks", "bwdf_area_e")
    assert sent == sum((_rows(file) for file in files), Counter())
    assert sum(sent.values()) == 53_651
    assert sum(sent.values()) - len(sent) == 120, "the file's own repeats"


def _rows(name: str) -> Counter:
    """(device, field, time, value), read without the product's own reader."""
    said = {
        "calder_valley": ("station", None, "value"),
        "birmingham_car_parks": ("car_park", "occupancy", "occupancy"),
        "bwdf_area_e": ("area", "inflow_ls", "inflow_ls"),
    }
    device, field, value = said[name]
    with gzip.open(DATA / f"{name}.csv.gz", "rt", encoding="utf-8") as text:
        return Counter(
            (
                row[device].lower().translate(str.maketrans(" _", "--")),
                field or row["quantity"],
                datetime.fromisoformat(row["time"]),
                float(row[value]),
            )
            for row in csv.DictReader(text)
        )


def test_planted_rises_pass_their_limits_in_what_is_sent() -> None:
    planted = scenario.known()[NAMES[0]].planted(ANCHOR, NOW, 1)
    passed = Counter(fact.what for fact in planted)
    assert passed["siaga2"] == 1
    assert passed["siaga3"] >= 3
    assert passed["maintenance"] == passed["outage"] == passed["exchange"] == 1
    devices = {d.id: d.key for file in sites(NAMES[0]) for d in file.devices}
    limits = sites(NAMES[0])[0].pilots[0].params["thresholds"]
    levels: dict[str, list[tuple[datetime, float]]] = {}
    for message in whole_past(NAMES[0]):
        body = json.loads(message.payload)
        if "level_cm" in body.get("object", {}):
            key = devices[f"eui:{body['deviceInfo']['devEui']}"]
            at = datetime.fromisoformat(body["time"])
            levels.setdefault(key, []).append((at, body["object"]["level_cm"] / 100))
    for fact in planted:
        if fact.what.startswith("siaga") and fact.due:
            around = fact.start, fact.end + timedelta(hours=6)
            top = max(v for at, v in levels[fact.device] if around[0] <= at < around[1])
            assert top >= limits[fact.device][0][fact.what]
            assert top == pytest.approx(fact.value, abs=0.05)


def test_one_planned_meter_never_sends() -> None:
    (file,) = sites(NAMES[0])
    idle = [device for device in file.devices if device.commissioned is None]
    assert [device.key for device in idle] == ["meter-24"]
    assert idle[0].planned is not None
    assert not any(str(idle[0].id)[4:] in message.topic for message in whole_past(NAMES[0]))


def test_feedback_is_marked_simulated() -> None:
    said = [json.loads(m.payload) for m in whole_past(NAMES[0]) if m.topic.endswith("/feedback")]
    assert 55 <= len(said) <= 65
    assert {each["origin"] for each in said} == {"simulated"}
    assert {each["lang"] for each in said} == {"id", "en"}
    assert len({each["id"] for each in said}) == len(said)
