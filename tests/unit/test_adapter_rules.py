"""Rules of single network servers: times, batteries, frames, histories, and malformed messages."""

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from services.ingest import health
from services.ingest.body import from_base64
from services.ingest.fleet import Device, Fleet, Source
from services.ingest.main import known_adapters
from services.ingest.pipeline import prepare
from services.ingest.uplink import ByTopic, Message, Refused, Uplink
from tests.vectors import samples

NOW = datetime(2026, 11, 22, 20, tzinfo=UTC)
GPS, CLOCK, SERVER = (f"2026-03-01T02:00:{s:02d}Z" for s in (1, 5, 9))


def parse(name: str, payload: object = None, topic: str | None = None) -> Uplink:
    sample = samples()[name]
    body = payload if isinstance(payload, bytes) else json.dumps(payload or sample.payload).encode()
    message = Message(topic or sample.topic, body, NOW)
    understood = known_adapters()[sample.adapter].parse(message)
    assert isinstance(understood, Uplink)
    return understood


def with_members(name: str, path: str, **members: Any) -> dict[str, Any]:
    """A sample with members set, or with None taken out, at a dotted path."""
    payload = copy.deepcopy(samples()[name].payload)
    place = payload
    for step in path.split(".") if path else []:
        place = place[step]
    for key, value in members.items():
        place.pop(key, None)
        if value is not None:
            place[key] = value
    return payload


TTS_UP = "tts-v3/uplink_message/df0"


@pytest.mark.parametrize(
    ("rows", "settings", "server", "expected"),
    [
        ([{"gps_time": GPS, "time": CLOCK}], CLOCK, SERVER, GPS),
        ([{"time": CLOCK}], None, SERVER, CLOCK),
        ([{"time": "2026-03-01T01:00:00Z"}, {"time": CLOCK}], None, SERVER, CLOCK),
        ([{"time": "1970-01-01T00:00:07Z"}], "1970-01-01T00:00:07Z", SERVER, SERVER),
        ([], None, SERVER, SERVER),
    ],
)
def test_tts_time_is_of_satellites_then_of_an_agreeing_clock_then_of_the_server(
    rows: list[dict[str, str]], settings: str | None, server: str, expected: str
) -> None:
    payload = with_members(TTS_UP, "uplink_message", rx_metadata=rows, received_at=server)
    payload["uplink_message"]["settings"].pop("time")
    if settings:
        payload["uplink_message"]["settings"]["time"] = settings
    assert parse(TTS_UP, payload).observed_at == datetime.fromisoformat(expected)


def test_a_tts_join_begins_new_frame_counters() -> None:
    before = parse(TTS_UP)
    again = parse(TTS_UP, with_members(TTS_UP, "", correlation_ids=[]))
    joined = parse(TTS_UP, with_members(TTS_UP, "uplink_message", session_key_id="AXBSH1Pk6Z0="))
    assert before.key == again.key != joined.key


def test_tts_marks_what_was_simulated_in_its_console() -> None:
    assert parse(TTS_UP, with_members(TTS_UP, "", simulated=True)).simulated
    assert not parse(TTS_UP).simulated


def test_tts_tells_the_last_battery_level_with_every_uplink_at_its_own_time() -> None:
    told = {"f_cnt": 1, "value": 52.5, "received_at": "2020-02-11T07:09:14.353Z"}
    uplink = parse(TTS_UP, with_members(TTS_UP, "uplink_message", last_battery_percentage=told))
    assert uplink.records[-1].time == datetime(2020, 2, 11, 7, 9, 14, 353000, tzinfo=UTC)
    assert uplink.records[-1].fields == {"health.battery_level": 52.5}
    assert not uplink.history


def test_tts_measurements_with_times_of_their_own_are_history() -> None:
    measured = [
        {"time": "2020-02-12T15:00:00Z", "soil": {"depth": 10, "moisture": 31}},
        {"time": "2020-02-12T15:00:00Z", "soil": {"depth": 30, "moisture": 35}},
        {"air": {"temperature": 24.5}},
    ]
    uplink = parse(TTS_UP, with_members(TTS_UP, "uplink_message", normalized_payload=measured))
    now, past, air = uplink.records
    assert now.time == air.time == uplink.observed_at
    assert past.time == datetime(2020, 2, 12, 15, tzinfo=UTC)
    assert past.fields["normalized_payload.1.soil.moisture"] == 35
    assert air.fields == {"normalized_payload.0.air.temperature": 24.5}
    assert uplink.history


def test_a_topic_of_another_tts_device_is_refused_and_a_free_topic_is_not() -> None:
    with pytest.raises(Refused, match="bad_topic"):
        parse(TTS_UP, topic="v3/app1@ttn/devices/dev2/up")
    assert parse(TTS_UP, topic="city/uplinks").f_cnt == 1


def test_a_rak_topic_of_another_device_is_refused() -> None:
    with pytest.raises(Refused, match="bad_topic"):
        parse("rak-wisgate/rx", topic="application/1/device/ac1f09fffe0000e2/rx")
    with pytest.raises(Refused, match="unsupported_event"):
        parse("rak-wisgate/rx", topic="application/1/device/ac1f09fffe0000e1/tx")


@pytest.mark.parametrize(
    ("members", "percent", "reason"),
    [
        ({"batteryLevel": 88.5}, 88.5, None),
        ({"batteryLevel": 0}, 0, None),
        ({"batteryLevel": 0, "externalPowerSource": True}, None, "external_power"),
        ({"batteryLevel": 0, "batteryLevelUnavailable": True}, None, "unavailable"),
        ({"batteryLevel": 255}, None, "unavailable"),
        ({"batteryLevel": 140}, None, "out_of_range: 140"),
        ({"batteryLevel": None}, None, "not_told"),
    ],
)
def test_a_battery_without_a_level_gives_no_reading_but_a_reason(
    members: dict[str, Any], percent: float | None, reason: str | None
) -> None:
    uplink = parse("chirpstack-v4/status", with_members("chirpstack-v4/status", "", **members))
    assert uplink.detail == {"margin_db": 12, "battery_percent": percent, "battery_reason": reason}
    (record,) = uplink.records
    assert record.fields.get("health.battery_level") == percent
    assert record.fields["health.link_margin"] == 12


@pytest.mark.parametrize(
    ("octet", "told"),
    [
        (0, (None, "external_power")),
        (1, (pytest.approx(0.39, abs=0.01), None)),
        (254, (100, None)),
        (255, (None, "unavailable")),
    ],
)
def test_the_battery_octet_is_a_level_only_between_its_special_values(
    octet: int, told: tuple[float | None, str | None]
) -> None:
    assert health.battery_of_octet(octet) == told


def test_nothing_known_of_a_device_is_no_record() -> None:
    assert health.record(NOW, None, None) == []


@pytest.mark.parametrize("text", ["-_8=", "-_8", "+/8=", "+/8"])
def test_base64_is_read_in_both_alphabets_with_and_without_padding(text: str) -> None:
    assert from_base64(text) == b"\xfb\xff"


@pytest.mark.parametrize(
    ("name", "path", "members"),
    [
        ("chirpstack-v4/up", "", {"data": "no base64!"}),
        (TTS_UP, "uplink_message", {"frm_payload": "A"}),
        ("milesight-gateway/up", "", {"data": "é"}),
        ("rak-wisgate/rx", "", {"data": "0G"}),
        ("rak-wisgate/rx", "", {"data_encode": "morse"}),
        ("rak-wisgate/rx", "", {"timestamp": 1e300}),
        ("kerlink-wanesy/dataUp", "", {"payload": "123"}),
        ("kerlink-wanesy/dataUp", "endDevice", {"devEui": "34-37"}),
        ("vega-nb11/telemetry", "Telemetry", {"UTC": "noon"}),
        ("vega-nb11/telemetry", "Message", {"IMEI": "12345"}),
        ("milesight-gateway/up-decoded", "object", {"history": [{"timestamp": 1e300}]}),
        ("milesight-gateway/up-decoded", "object", {"history": [{"timestamp": 1}] * 501}),
    ],
)
def test_what_cannot_be_read_is_refused_loudly(
    name: str, path: str, members: dict[str, Any]
) -> None:
    with pytest.raises(Refused, match="bad_message"):
        parse(name, with_members(name, path, **members))


def test_a_history_that_is_no_list_of_timed_objects_is_a_value_like_any_other() -> None:
    payload = with_members("chirpstack-v4/up", "object", history=[3, 4])
    (record,) = parse("chirpstack-v4/up", payload).records
    assert record.fields["object.history.1"] == 4


def test_a_re_published_chirpstack_uplink_can_say_that_it_is_history() -> None:
    payload = with_members("chirpstack-v4/up", "deviceInfo", tags={"history": "true"})
    assert parse("chirpstack-v4/up", payload).history


STRANGE = (
    *(None, True, -1, 1e300, 1e308, 10**400, "", "\0", "x" * 5000),
    *([], [None], {}, {"a": {"b": []}}),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
)


def broken(value: Any) -> Iterator[Any]:
    """The same structure with each place in turn taken out or replaced by something strange."""
    for key in range(len(value)) if isinstance(value, list) else [*value]:
        inner = value[key]
        others = [*STRANGE, *(broken(inner) if isinstance(inner, dict | list) else ())]
        for other in others:
            changed = copy.copy(value)
            changed[key] = other
            yield changed
        changed = copy.copy(value)
        del changed[key]
        yield changed


def fleet(name: str) -> Fleet:
    """A registry that knows the sample's device, whatever names it."""
    sample = samples()[name]
    device = Device(1, 1, "measured", has_profile=False, targets={})
    source = Source(1, 1, "city", sample.adapter, ("#",))
    try:
        named = parse(name).device
    except Refused:
        return Fleet([source], {})
    return Fleet([source], {ByTopic("city", "dev1"): device} | {named: device})  # type: ignore[dict-item]


@pytest.mark.parametrize("name", samples())
def test_whatever_is_broken_a_message_is_read_or_refused_and_is_no_fault_of_ours(name: str) -> None:
    sample, known = samples()[name], fleet(name)
    bodies = [json.dumps(each).encode() for each in broken(sample.payload)]
    bodies += [sample.body[:cut] for cut in range(0, len(sample.body), 7)]
    bodies += [sample.body.replace(b'"', b"\xff", 1), b"\x00", b"null", b'"\\ud800"', b"[" * 5000]
    refusals = {
        prepared.refused.reason
        for body in bodies
        if (prepared := prepare(Message(sample.topic, body, NOW), known, known_adapters())).refused
    }
    assert refusals <= {
        *("bad_json", "bad_message", "bad_topic", "bad_clock", "unsupported_event"),
        *("unknown_device", "simulated"),
    }
    assert "bad_json" in refusals or sample.id.startswith("chirpstack-gateway")
