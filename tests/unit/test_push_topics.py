"""What is pushed over HTTP has the topic it would have had over MQTT, or none of another's."""

from datetime import UTC, datetime

import orjson
import pytest

from services.ingest import pushed
from services.ingest.main import known_adapters
from services.ingest.pushed import Pushed
from services.ingest.uplink import Message, Refused
from tests.vectors import Sample, samples

SAMPLES = samples().values()
CHIRPSTACK = [each for each in SAMPLES if each.id.startswith("chirpstack-v4/")]
TTS = [each for each in SAMPLES if each.adapter == "tts"]
NOW = datetime(2026, 11, 30, tzinfo=UTC)


def topic(adapter: str, filters: tuple[str, ...], payload: bytes, **query: str) -> str:
    request = Pushed("cibinong", filters, query, payload)
    find = known_adapters()[adapter].topic_of or pushed.named
    return pushed.require_own(find(request), request)


@pytest.mark.parametrize("sample", CHIRPSTACK, ids=lambda each: each.id)
def test_an_event_of_chirpstack_has_the_same_topic_both_ways(sample: Sample) -> None:
    event = sample.topic.rpartition("/")[2]
    told = topic("chirpstack", ("application/+/device/+/event/+",), sample.body, event=event)
    assert told == sample.topic


@pytest.mark.parametrize("sample", TTS, ids=lambda each: each.id)
def test_a_webhook_of_the_things_stack_is_read_like_its_mqtt_message(sample: Sample) -> None:
    parse = known_adapters()["tts"].parse
    try:
        expected = parse(Message("v3/any", sample.body, NOW))
    except Refused:
        return  # neither way is it an event of a device
    ids = sample.payload["end_device_ids"]
    owner = f"{ids['application_ids']['application_id']}@ttn"
    told = topic("tts", ("v3/other@ttn/devices/#", f"v3/{owner}/devices/#"), sample.body)
    assert told.startswith(f"v3/{owner}/devices/{ids['device_id']}/")
    assert parse(Message(told, sample.body, NOW)) == expected


LAB = ("livinglab/cibinong/+/up", "livinglab/cibinong/feedback")


@pytest.mark.parametrize(
    ("payload", "query", "expected"),
    [
        ({"values": {}}, {"device": "g1"}, "livinglab/cibinong/g1/up"),
        ([{"bn": "g2", "n": "level", "v": 1}], {}, "livinglab/cibinong/g2/up"),
        ([{"bn": "g2", "n": "level", "v": 1}], {"device": "g1"}, "livinglab/cibinong/g1/up"),
        ({"id": "1"}, {"event": "feedback"}, "livinglab/cibinong/feedback"),
    ],
)
def test_plain_messages_name_their_device(
    payload: object, query: dict[str, str], expected: str
) -> None:
    assert topic("lab", LAB, orjson.dumps(payload), **query) == expected


@pytest.mark.parametrize(
    ("filters", "query", "expected"),
    [
        (("vega/meters",), {}, "vega/meters"),
        (("vega/+", "other"), {"topic": "vega/17"}, "vega/17"),
    ],
)
def test_where_topics_are_free_the_sender_names_one(
    filters: tuple[str, ...], query: dict[str, str], expected: str
) -> None:
    assert topic("vega", filters, b"{}", **query) == expected


@pytest.mark.parametrize(
    ("adapter", "filters", "payload", "query", "reason"),
    [
        ("lab", LAB, b"{}", {}, "bad_topic"),
        ("lab", LAB, b"[]", {}, "bad_topic"),
        ("lab", LAB, b"not json", {}, "bad_json"),
        ("lab", LAB, b"{}", {"device": "../elsewhere"}, "bad_topic"),
        ("lab", LAB, b"{}", {"device": "+"}, "bad_topic"),
        ("lab", LAB[:1], b"{}", {"event": "feedback"}, "bad_topic"),
        ("vega", ("vega/+",), b"{}", {}, "bad_topic"),
        ("vega", ("vega/+",), b"{}", {"topic": "livinglab/bogor/g1/up"}, "bad_topic"),
        ("vega", ("vega/#",), b"{}", {"topic": "vega/#"}, "bad_topic"),
        ("chirpstack", ("application/a/#",), b"{}", {}, "bad_topic"),
        ("chirpstack", ("application/a/#",), b"{}", {"event": "up"}, "bad_message"),
        ("chirpstack", ("application/a/#",), b'"up"', {"event": "up"}, "bad_message"),
        ("tts", ("v3/a@t/devices/#",), b"[]", {}, "unsupported_event"),
        ("tts", ("v3/a@t/devices/#",), b"7", {}, "unsupported_event"),
        ("tts", ("v3/a@t/devices/#",), b'{"uplink_message": {}}', {}, "bad_message"),
    ],
)
def test_what_has_no_topic_of_its_source_is_refused(
    adapter: str, filters: tuple[str, ...], payload: bytes, query: dict[str, str], reason: str
) -> None:
    with pytest.raises(Refused) as refused:
        topic(adapter, filters, payload, **query)
    assert refused.value.reason == reason
