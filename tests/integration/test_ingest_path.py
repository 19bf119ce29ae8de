"""Message → broker → ingest → database: what is stored, what is refused, and why."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from shared.embedded.nats import Broker
from shared.settings import Database
from tests.integration.ingest_bench import Bench, ingesting
from tests.integration.test_site_apply import changed

pytestmark = pytest.mark.database
APPLICATION = "17c82e96-be03-4f38-aef3-f83d48582d97"
EUI = "0101010101010101"
UP = f"application/{APPLICATION}/device/{EUI}/event/up"
NOW = datetime.now(UTC).replace(microsecond=0)
Rows = Callable[..., list[dict[str, Any]]]


def site() -> dict[str, Any]:
    """SITE with a ChirpStack source and a LoRaWAN gauge beside the plain one."""
    content = changed("site.name", "Cibinong")
    content["sources"].append(
        {
            "key": "chirpstack",
            "adapter": "chirpstack",
            "filters": [f"application/{APPLICATION}/device/+/event/+"],
        }
    )
    content["profiles"].append(
        {
            "key": "radio-gauge",
            "interval_s": 900,
            "fields": {
                "object.level": {"property": "water_level", "unit": "cm"},
                "object.battery.volt": {"property": "battery_voltage", "unit": "V"},
            },
        }
    )
    content["devices"] += [
        {
            "key": "radio",
            "id": f"eui:{EUI}",
            "pilot": "flood",
            "profile": "radio-gauge",
            "source": "chirpstack",
            "origin": "simulated",
        },
        {"key": "free", "source": "plain", "origin": "simulated"},
    ]
    return content


def chirpstack_up(**over: Any) -> dict[str, Any]:
    """An `up` event in the shape of ChirpStack's documentation."""
    return {
        "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
        "time": NOW.isoformat(),
        "deviceInfo": {"devEui": EUI, "applicationId": APPLICATION},
        "fCnt": 7,
        "fPort": 1,
        "data": base64.b64encode(b"\xaa").decode(),
        "object": {"level": 35, "battery": {"volt": 3.6}, "status": "ok"},
        "rxInfo": [{"gatewayId": "0016c001f153a14c", "rssi": -36, "snr": 10.5}],
        "txInfo": {"frequency": 921400000},
    } | over


@pytest.fixture
def bench(
    database: Database, engine: Engine, broker: Broker, apply_site: Callable[..., Any]
) -> Iterator[Bench]:
    apply_site(site())
    with ingesting(database, engine, broker) as bench:
        yield bench


def test_a_decoded_uplink_becomes_readings_in_canonical_units(bench: Bench) -> None:
    bench.publish(UP, chirpstack_up())
    counted = bench.settle(1)
    assert counted == {"stored": 1, "item:unmapped": 1}
    readings = bench.rows("""
        SELECT property, value, quality, time FROM reading
        JOIN datastream ON datastream.id = datastream_id ORDER BY property
    """)
    assert [(r["property"], r["value"], r["quality"]) for r in readings] == [
        ("battery_voltage", 3.6, 1),
        ("water_level", 0.35, 1),
    ]
    assert readings[0]["time"] == NOW
    (uplink,) = bench.rows("SELECT f_cnt, f_port, gateways, radio FROM uplink")
    assert uplink["gateways"] == ["0016c001f153a14c"]
    assert (uplink["f_cnt"], uplink["radio"]["rssi_dbm"]) == (7, [-36])
    (change,) = bench.rows("SELECT datastream_ids, hours FROM change")
    assert sorted(change["datastream_ids"]) == sorted(
        r["id"] for r in bench.rows("SELECT DISTINCT datastream_id AS id FROM reading")
    )


def test_without_a_decoded_object_the_uplink_is_stored_and_says_no_decoder(bench: Bench) -> None:
    event = chirpstack_up()
    del event["object"]
    bench.publish(UP, event)
    assert bench.settle(1) == {"stored": 1, "item:no_decoder": 1}
    (reject,) = bench.rows("SELECT scope, reason, uplink_id FROM rejected")
    (uplink,) = bench.rows("SELECT uplink_id FROM uplink")
    assert reject == {"scope": "item", "reason": "no_decoder", "uplink_id": uplink["uplink_id"]}


def test_a_mac_only_frame_is_a_sign_of_life_and_no_fault(bench: Bench) -> None:
    event = chirpstack_up(fPort=0, data="")
    del event["object"]
    bench.publish(UP, event)
    assert bench.settle(1) == {"stored": 1}


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        (UP, b"{not json", "bad_json"),
        (UP, b"\xff\xfe\x00", "bad_json"),
        (UP, b"", "bad_json"),
        (UP, b"[" * 5000, "bad_json"),
        (UP, {"time": "yesterday"}, "bad_message"),
        (UP, chirpstack_up(time="2022-07-18T09:34:15"), "bad_message"),
        (UP, chirpstack_up(time="1999-12-31T23:59:59Z"), "bad_clock"),
        (UP, chirpstack_up(time=(NOW + timedelta(hours=1)).isoformat()), "bad_clock"),
        (UP, chirpstack_up(object=[1, 2]), "bad_message"),
        (UP, chirpstack_up(fCnt=-1), "bad_message"),
        (UP, chirpstack_up(rxInfo=[{"gatewayId": "a\0b"}]), "bad_message"),
        (UP, chirpstack_up(rxInfo=[{"gatewayId": "ab", "snr": float("nan")}]), "bad_message"),
        (UP, chirpstack_up(object={f"{i}": [1] * 300 for i in range(2)}), "bad_message"),
        (UP, chirpstack_up(deviceInfo={"devEui": "0202020202020202"}), "bad_topic"),
        (UP.replace(EUI, "0202020202020202"), chirpstack_up(), "bad_topic"),
        (
            UP.replace(EUI, "0202020202020202"),
            chirpstack_up(deviceInfo={"devEui": "0202020202020202"}),
            "unknown_device",
        ),
        (UP.replace("/up", "/join"), {"deduplicationId": "x"}, "bad_message"),
        (UP.replace("/up", "/wish"), {"deduplicationId": "x"}, "unsupported_event"),
        ("livinglab/cibinong/nobody/up", {"values": {"level": 1}}, "unknown_device"),
        ("livinglab/cibinong/g1/down", {"values": {}}, "bad_topic"),
        ("livinglab/cibinong/g1/up", {"values": 3}, "bad_message"),
        ("livinglab/cibinong/g1/up", {"time": "2026-01-01", "values": {}}, "bad_message"),
        ("livinglab/cibinong/g1/up", [{"n": "level", "v": "x"}], "bad_message"),
        ("livinglab/cibinong/g1/up", [{"bn": "g2", "n": "level", "v": 1}], "bad_message"),
        (
            "livinglab/cibinong/g1/up",
            [{"n": "level", "u": "cm", "v": v} for v in (1, 2)],
            "bad_message",
        ),
        ("livinglab/cibinong/radio/up", {"values": {"level": 1}}, "wrong_source"),
    ],
)
def test_a_malformed_message_is_kept_under_a_reason_and_the_stream_goes_on(
    bench: Bench, topic: str, payload: object, reason: str
) -> None:
    bench.publish(topic, payload)
    bench.publish(UP, chirpstack_up())
    counted = bench.settle(2)
    assert counted.pop(f"rejected:{reason}") == 1
    assert counted == {"stored": 1, "item:unmapped": 1}
    (reject,) = bench.rows("SELECT reason, topic, payload FROM rejected WHERE scope = 'message'")
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    assert (reject["reason"], reject["topic"], reject["payload"]) == (reason, topic, body)


def test_repeats_change_nothing_and_are_counted(bench: Bench) -> None:
    for _ in range(3):
        bench.publish(UP, chirpstack_up())
        bench.publish(UP, b"poison")
    counted = bench.settle(6)
    assert counted == {"stored": 1, "rejected:bad_json": 1, "repeat": 4, "item:unmapped": 1}
    assert len(bench.rows("SELECT FROM uplink")) == 1
    assert len(bench.rows("SELECT FROM rejected WHERE scope = 'message'")) == 1


def test_another_value_for_the_same_time_is_a_conflict_and_never_overwrites(bench: Bench) -> None:
    time_ = NOW.isoformat()
    bench.publish("livinglab/cibinong/g1/up", {"time": time_, "values": {"level": 100}})
    bench.settle(1)
    bench.publish("livinglab/cibinong/g1/up", {"time": time_, "values": {"level": 120}})
    counted = bench.settle(2)
    assert counted == {"stored": 2, "item:conflict": 1}
    assert [r["value"] for r in bench.rows("SELECT value FROM reading")] == [1.0]
    (reject,) = bench.rows("SELECT detail FROM rejected")
    assert "arrived 1.2, stored 1.0" in reject["detail"]


def test_senml_carries_its_own_times_and_units(bench: Bench) -> None:
    base = NOW.timestamp() - 3600
    pack = [
        {"bn": "g1", "bt": base, "n": "level", "u": "m", "v": 1.25},
        {"n": "level", "u": "cm", "v": 130, "t": 900},
        {"n": "level", "u": "Cel", "v": 4, "t": 1800},
    ]
    bench.publish("livinglab/cibinong/g1/up", pack)
    assert bench.settle(1) == {"stored": 1, "item:bad_unit": 1}
    values = bench.rows("SELECT value FROM reading ORDER BY time")
    assert [r["value"] for r in values] == [1.25, 1.3]


def test_a_device_without_profile_sends_property_keys(bench: Bench) -> None:
    message = {"time": NOW.isoformat(), "values": {"air_temperature": 26.5, "mood": 3}}
    bench.publish("livinglab/cibinong/free/up", message)
    assert bench.settle(1) == {"stored": 1, "item:unmapped": 1}
    (reading,) = bench.rows("""
        SELECT property, unit, value FROM reading JOIN datastream ON datastream.id = datastream_id
    """)
    assert reading == {"property": "air_temperature", "unit": "Cel", "value": 26.5}


def test_messages_without_id_and_time_are_stored_and_counted_as_unkeyed(bench: Bench) -> None:
    bench.publish("livinglab/cibinong/g1/up", {"values": {"level": 10}})
    assert bench.settle(1) == {"stored": 1, "unkeyed": 1}


def test_values_outside_the_range_are_kept_and_graded(bench: Bench) -> None:
    for minute, level in enumerate((10, 1e9, 5)):
        at = (NOW - timedelta(minutes=minute)).isoformat()
        bench.publish("livinglab/cibinong/g1/up", {"time": at, "values": {"level": level}})
    bench.settle(3)
    rows = bench.rows("SELECT quality FROM reading ORDER BY time DESC")
    assert [r["quality"] for r in rows] == [1, 4, 1]


def test_feedback_is_scrubbed_and_its_raw_text_stays_in_its_own_table(bench: Bench) -> None:
    said = {
        "id": "f1",
        "time": NOW.isoformat(),
        "service_code": "flood",
        "description": "Banjir! Call 0812-3456-7890, budi@example.org, NIK 3201234567890001",
        "lat": -6.48,
        "long": 106.85,
        "rating": 2,
        "lang": "id",
        "origin": "simulated",
    }
    bench.publish("livinglab/cibinong/feedback", said)
    bench.publish("livinglab/cibinong/feedback", b'{"id": "f2", "description": "my NIK is 32')
    counted = bench.settle(2)
    assert counted == {"stored": 1, "rejected:bad_json": 1}
    (request,) = bench.rows("SELECT description, scrubbed, origin FROM service_request")
    assert request["description"] == "Banjir! Call [phone], [email], NIK [nik]"
    assert request["scrubbed"] == {"phone": 1, "email": 1, "nik": 1}
    raw = bench.rows("SELECT refused FROM feedback_raw ORDER BY refused NULLS FIRST")
    assert [r["refused"] for r in raw] == [None, "bad_json"]
    assert bench.rows("SELECT FROM uplink") == bench.rows("SELECT FROM rejected") == []


def test_a_message_the_database_refuses_does_not_take_its_batch_along(bench: Bench) -> None:
    said = {"id": "f1", "time": NOW.isoformat(), "service_code": "x", "description": "a"}
    bench.publish("livinglab/cibinong/feedback", said | {"lang": "a\0b"})
    bench.publish(UP, chirpstack_up())
    counted = bench.settle(2)
    assert counted == {"stored": 1, "rejected:db_refused": 1, "item:unmapped": 1}


def test_a_source_applied_later_is_heard(bench: Bench, apply_site: Callable[..., Any]) -> None:
    bandung = changed("site.key", "bandung")
    bandung["sources"][0]["filters"] = ["livinglab/bandung/#"]
    apply_site(bandung)
    deadline = time.monotonic() + 60
    while not bench.rows("SELECT FROM uplink"):
        message = {"time": NOW.isoformat(), "values": {"level": 1}}
        bench.publish("livinglab/bandung/g1/up", message)
        assert time.monotonic() < deadline
        time.sleep(0.2)
