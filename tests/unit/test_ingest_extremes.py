"""What mutated messages found: each of these once stopped, slowed or miscounted something."""

import json
import tracemalloc
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from services.ingest.fleet import Device, Fleet, Source, Target
from services.ingest.main import known_adapters
from services.ingest.pipeline import Prepared, prepare
from services.ingest.uplink import ByTopic, Message, Refused
from shared.domain.topic import possible
from tests.vectors import samples

NOW: Final = datetime(2026, 11, 22, 20, tzinfo=UTC)
DEEP: Final = b"[" * 990 + b"]" * 990  # a reader takes it, writing it out is too much


def prepared(body: bytes, topic: str = "livinglab/city/g1/up", adapter: str = "lab") -> Prepared:
    target = Target(1, "water_level", float, None, None)
    device = Device(1, 1, "measured", has_profile=True, targets={"level": target})
    fleet = Fleet([Source(1, 1, "city", adapter, ("#",))], {ByTopic("city", "g1"): device})
    return prepare(Message(topic, body, NOW), fleet, known_adapters())


@pytest.mark.parametrize(
    "body",
    [
        b'{"time": %s, "values": {}}' % DEEP,
        b'[{"bn": %s, "n": "level", "v": 1}]' % DEEP,
        b'[{"bver": %s, "n": "level", "v": 1}]' % DEEP,
    ],
)
def test_what_is_nested_deeply_is_refused_for_what_it_is(body: bytes) -> None:
    refused = prepared(body).refused
    assert refused is not None
    assert refused.reason == "bad_message"
    assert "a list" in refused.detail


def test_a_value_that_is_nested_deeply_is_no_number_and_leaves_the_others_alone() -> None:
    message = prepared(b'{"values": {"level": %s, "more": 1}}' % DEEP)
    assert [item.detail for item in message.items] == [
        "level: a list",
        "no property for field 'more'",
    ]


@pytest.mark.parametrize("level", ["\0", "\ud800", "a\udfffb"])
def test_no_source_covers_what_cannot_be_a_topic(level: str) -> None:
    assert not possible(f"a/{level}")
    refused = prepared(b"{}", f"livinglab/{level}/g1/up").refused
    assert refused is not None
    assert refused.reason == "unknown_source"


def test_a_name_is_not_kept_a_hundred_times_for_the_values_below_it() -> None:
    sample = samples()["vega-nb11/telemetry"]
    told = sample.payload | {"Telemetry": {"x" * 500_000: [0] * 450}}
    body = json.dumps(told).encode()
    tracemalloc.start()
    with pytest.raises(Refused, match="a name longer than 1000"):
        known_adapters()["vega"].parse(Message(sample.topic, body, NOW))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20 * len(body)


@pytest.mark.parametrize("entry", [0, {}])
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("chirpstack-v4/up", ("rxInfo",)),
        ("rak-wisgate/rx", ("rxInfo",)),
        ("kerlink-wanesy/dataUp", ("gwInfo",)),
        ("tts-v3/uplink_message/df0", ("uplink_message", "rx_metadata")),
        ("tts-v3/uplink_message/df0", ("uplink_message", "normalized_payload")),
        ("tts-v3/uplink_message/df0", ("correlation_ids",)),
    ],
)
def test_many_entries_are_refused_before_they_are_many_objects(
    name: str, path: tuple[str, ...], entry: object
) -> None:
    told: Any = json.loads(samples()[name].body)
    place = told
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = [entry] * 50_000
    body = json.dumps(told).encode()
    tracemalloc.start()
    with pytest.raises(Refused, match="bad_message"):
        known_adapters()[samples()[name].adapter].parse(Message(samples()[name].topic, body, NOW))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 30 * len(body)


def test_possible_topics_are_all_others() -> None:
    assert all(map(possible, ["a", "/a//b", "$SYS/x", "é", "\U0001f4a7", "a b", "x" * 65_535]))


def test_an_uplink_under_a_topic_of_feedback_is_an_uplink_alone() -> None:
    sample = samples()["vega-nb11/telemetry"]
    understood = known_adapters()["vega"].parse(Message("vega/feedback", sample.body, NOW))
    device = Device(1, 1, "measured", has_profile=True, targets={})
    source = Source(1, 1, "city", "vega", ("vega/#",))
    fleet = Fleet([source], {understood.device: device})  # type: ignore[union-attr, dict-item]
    read, unread = (
        prepare(Message("vega/feedback", body, NOW), fleet, known_adapters())
        for body in (sample.body, b"Banjir di rumah saya")
    )
    assert read.uplink
    assert (read.kept_apart, unread.kept_apart) == (False, True)
