"""Every sample of tests/vectors through its adapter: what it becomes, or why it is refused."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.ingest.main import known_adapters
from services.ingest.uplink import ByKey, ByRadio, Message, Refused, Uplink
from tests.vectors import Sample, samples

NOW = datetime(2026, 11, 22, 20, tzinfo=UTC)
LORA = {"frequency_hz": 921400000, "bandwidth_hz": 125000}
UPS: dict[str, dict[str, Any]] = {
    "chirpstack-v4/up": {
        "device": "eui:24e124fffe0000a1",
        "time": "2026-03-01T02:15:30.123456+00:00",
        "frame": (0, 2),
        "gateways": [("ac1f09fffe0000b1", -6.48, 106.85), ("ac1f09fffe0000b2", None, None)],
        "radio": {**LORA, "dr": 3, "spreading_factor": 9, "rssi_dbm": [-97, -111]},
        "fields": {"object.level": 41.5, "object.battery.volt": 3.55},
    },
    "tts-v3/uplink_message/df0": {
        "device": "eui:0004a30b001c0530",
        "time": "2020-02-12T15:15:45.787000+00:00",
        "frame": (1, 0),
        "gateways": [("9c5c8e00001a05c4", None, None)],
        "radio": {"frequency_hz": 868300000, "spreading_factor": 7, "snr_db": [5]},
        "fields": {"object.temperature": 1.0, "object.luminosity": 0.64},
    },
    "tts-v3/uplink_message/mqtt2": {
        "device": "eui:4200000000000000",
        "time": "2019-01-29T13:02:34.981000+00:00",
        "frame": (0, 15),
        "gateways": [("0242020000247803", None, None)],
        "radio": {"frequency_hz": 868500000, "spreading_factor": 7, "rssi_dbm": [-35]},
        "fields": {},
        "undecoded": "formatter",
    },
    "milesight-gateway/up": {
        "device": "eui:24e124fffe0000c1",
        "time": "2026-03-01T03:00:00.500000+00:00",
        "frame": (41, 85),
        "gateways": [("24e124fffe0000d1", None, None)],
        "radio": {"frequency_hz": 921600000, "bandwidth_hz": 125000, "spreading_factor": 7},
        "fields": {},
        "undecoded": "codec",
    },
    "milesight-gateway/up-decoded": {
        "device": "eui:24e124fffe0000c1",
        "time": "2026-03-01T02:10:00+00:00",
        "frame": (42, 85),
        "gateways": [("24e124fffe0000d1", -6.5, 106.8)],
        "radio": {"rssi_dbm": [-64], "snr_db": [10]},
        "fields": {"object.temperature": 26.6, "object.humidity": 41},
        "past": {"2026-03-01T02:30:00+00:00": {"object.temperature": 26.1, "object.humidity": 42}},
    },
    "rak-wisgate/rx": {
        "device": "eui:ac1f09fffe0000e1",
        "time": "2026-03-01T03:00:00+00:00",
        "frame": (0, 1),
        "gateways": [("ac1f09fffe0000f1", -6.7, 106.9)],
        "radio": {"frequency_hz": 921400000, "dr": 2, "rssi_dbm": [-101], "snr_db": [-3.5]},
        "fields": {"object.moisture": 31.5},
    },
    "kerlink-wanesy/dataUp": {
        "device": "eui:343737394a000001",
        "time": "2026-03-01T02:00:00.123000+00:00",
        "frame": (311, 2),
        "gateways": [("7276ff0000000001", None, None)],
        "radio": {**LORA, "spreading_factor": 10, "rssi_dbm": [-99], "snr_db": [-2]},
        "fields": {},
        "undecoded": "bytes only",
    },
    "vega-nb11/telemetry": {
        "device": "imei:867723030000001",
        "time": "2026-03-01T02:01:00+00:00",
        "frame": (8, None),
        "gateways": [],
        "radio": {"rsrp_dbm": [-90.5], "rssi_dbm": [-80.1], "snr_db": [9.5]},
        "fields": {
            "Telemetry.bat": 98,
            "Telemetry.temp": 31,
            "Telemetry.pulse1": 1204,
            **{f"Telemetry.pulse{n}": 0 for n in (2, 3, 4)},
        },
    },
}
EVENTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "chirpstack-v4/status": (
        "status",
        "2026-03-01T02:15:31.500000+00:00",
        {"margin_db": 12, "battery_percent": 74.8, "battery_reason": None},
    ),
    "chirpstack-v4/join": ("join", "2026-03-01T02:00:00+00:00", {"dev_addr": "01a2b3c4"}),
    "chirpstack-v4/ack": (
        "ack",
        "2026-03-01T02:16:10+00:00",
        {"acknowledged": True, "f_cnt_down": 5},
    ),
    "chirpstack-v4/txack": (
        "txack",
        "2026-03-01T02:16:05+00:00",
        {"downlink_id": "5b0f7a52-1f43-4cf8-8a0c-1d2b7a1a9f10", "gateway": "ac1f09fffe0000b1"},
    ),
    "chirpstack-v4/log": (
        "log",
        "2026-03-01T02:17:00+00:00",
        {"level": "ERROR", "code": "UPLINK_CODEC", "description": "the codec threw"},
    ),
    "chirpstack-v4/location": (
        "location",
        "2026-03-01T02:18:00+00:00",
        {"lat": -6.4812, "lon": 106.8533, "altitude_m": 140, "accuracy_m": None},
    ),
    "chirpstack-v4/integration": (
        "integration",
        "2026-03-01T02:19:00+00:00",
        {"name": "geolocation", "type": "solved"},
    ),
    "tts-v3/join_accept/df1": (
        "join",
        "2020-02-17T07:49:09.736532+00:00",
        {"dev_addr": "01497ecc"},
    ),
    # No time told: that of the newest correlation id.
    "tts-v3/join_accept/mqtt1": (
        "join",
        "2019-01-29T12:44:51.933000+00:00",
        {"dev_addr": "01da1f15"},
    ),
    "tts-v3/downlink_ack/df2": (
        "ack",
        "2020-02-17T10:32:24.590413+00:00",
        {"acknowledged": True, "f_cnt_down": 1, "f_port": 15},
    ),
    # Neither a time nor such an id: when it came.
    "tts-v3/downlink_ack/mqtt5": (
        "ack",
        NOW.isoformat(),
        {"downlink_id": "my-correlation-id", "f_cnt_down": 11},
    ),
    "tts-v3/downlink_failed/df3": (
        "log",
        "2020-02-17T16:19:55.115000+00:00",
        {"level": "ERROR", "code": "application_downlink_too_long"},
    ),
    "rak-wisgate/status": (
        "status",
        "2026-03-01T03:00:01+00:00",
        {"margin_db": -4, "battery_percent": 50, "battery_reason": None},
    ),
}
REFUSED = {
    "chirpstack-gateway-bridge/stats": "unsupported_event",
    "chirpstack-gateway-bridge/up": "unsupported_event",
    "chirpstack-gateway-bridge/ack": "unsupported_event",
    "tts-v3/downlinks/df4": "unsupported_event",
    "tts-v3/downlinks/mqtt3": "unsupported_event",
    "tts-v3/downlinks/mqtt4": "unsupported_event",
    "tts-v3/normalized/1": "bad_message",
    "tts-v3/normalized/2": "unsupported_event",
}


def parse(sample: Sample) -> Uplink:
    understood = known_adapters()[sample.adapter].parse(Message(sample.topic, sample.body, NOW))
    assert isinstance(understood, Uplink)
    return understood


def test_every_sample_is_expected_to_become_something() -> None:
    assert samples().keys() == UPS.keys() | EVENTS.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", UPS)
def test_an_uplink_is_read_as_its_network_server_means_it(name: str) -> None:
    uplink, wanted = parse(samples()[name]), UPS[name]
    assert uplink.device == ByRadio(wanted["device"])
    assert uplink.observed_at == datetime.fromisoformat(wanted["time"])
    assert (uplink.f_cnt, uplink.f_port) == wanted["frame"]
    assert [(g.gateway_id, g.lat, g.lon) for g in uplink.gateways] == wanted["gateways"]
    assert uplink.radio is not None
    assert {key: uplink.radio[key] for key in wanted["radio"]} == wanted["radio"]
    first, *past = uplink.records
    assert (first.time, dict(first.fields)) == (uplink.observed_at, wanted["fields"])
    told = {record.time.isoformat(): dict(record.fields) for record in past}
    assert told == wanted.get("past", {})
    assert wanted.get("undecoded", "None") in str(uplink.undecoded)
    assert (uplink.event, uplink.keyed, uplink.history) == ("up", True, bool(past))


@pytest.mark.parametrize("name", EVENTS)
def test_another_event_is_kept_with_what_a_device_page_shows(name: str) -> None:
    uplink = parse(samples()[name])
    kind, time, detail = EVENTS[name]
    assert (uplink.event, uplink.observed_at.isoformat()) == (kind, time)
    assert uplink.keyed == (uplink.observed_at != NOW)
    assert uplink.detail is not None
    assert {key: uplink.detail[key] for key in detail} == detail


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_event_of_a_device_is_refused_under_a_reason(name: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(samples()[name])
    assert refused.value.reason == REFUSED[name]


def test_a_failed_downlink_names_its_device_by_key_alone() -> None:
    assert parse(samples()["tts-v3/downlink_failed/df3"]).device == ByKey("dev1")
