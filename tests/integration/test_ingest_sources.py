"""Every sample of a network server through a real broker: uplinks, readings, events, the ledger."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine

from services.ingest import device_event
from shared.embedded.nats import Broker
from shared.settings import Database
from tests.integration.ingest_bench import Bench, ingesting
from tests.vectors import FREE_TOPICS, samples

pytestmark = pytest.mark.database
DEVICES = {
    "gauge-a1": ("eui:24e124fffe0000a1", "chirpstack", "gauge"),
    "dev1": ("eui:0004a30b001c0530", "tts", "thing"),
    "dev1-old": ("eui:4200000000000000", "tts", "thing"),
    "room": ("eui:24e124fffe0000c1", "milesight", "room"),
    "soil": ("eui:ac1f09fffe0000e1", "rak", "soil"),
    "bytes": ("eui:343737394a000001", "kerlink", None),
    "meter": ("imei:867723030000001", "vega", "meter"),
    "logger": (None, "lab", None),
}
FILTERS = {
    "chirpstack": ["application/+/device/+/event/+", "as923_2/gateway/+/event/+"],
    "tts": ["v3/app1@ttn/devices/#"],
    "milesight": ["/milesight/#"],
    "rak": ["application/1/device/+/rx", "application/1/device/+/status"],
    "kerlink": [FREE_TOPICS["kerlink-wanesy"]],
    "vega": ["vega/+"],
    "lab": ["livinglab/sources/+/up"],
}
FIELDS = {
    "gauge": {
        "object.level": {"property": "water_level", "unit": "cm"},
        "object.battery.volt": {"property": "battery_voltage"},
    },
    # The Things Stack's own name of a decoded value means the same as `object`.
    "thing": {
        "decoded_payload.temperature": {"property": "air_temperature"},
        "object.luminosity": {"property": "illuminance"},
    },
    "room": {
        "object.temperature": {"property": "air_temperature"},
        "object.humidity": {"property": "relative_humidity"},
    },
    "soil": {"object.moisture": {"property": "soil_moisture"}},
    "meter": {"Telemetry.pulse1": {"property": "water_volume_index", "unit": "L"}},
}
SITE = {
    "site": {
        **{"key": "sources", "name": "Sources", "zone": "Asia/Jakarta", "stage": "experiment"},
        **{"lat": -6.48, "lon": 106.85},
    },
    "sources": [
        {"key": name, "adapter": name, "filters": filters} for name, filters in FILTERS.items()
    ],
    "profiles": [{"key": key, "interval_s": 900, "fields": f} for key, f in FIELDS.items()],
    "devices": [
        {"key": key, "id": id_, "source": source, "profile": profile, "origin": "measured"}
        for key, (id_, source, profile) in DEVICES.items()
    ],
}
STORED = 21
LEDGER = {
    "stored": STORED,
    "unkeyed": 1,  # an acknowledgement that tells neither a time nor a correlation id with one
    "rejected:unsupported_event": 7,
    "rejected:bad_message": 1,
    "item:no_decoder": 3,
    "item:unmapped": 5,  # of the NB-IoT meter: bat, temp and three idle inputs
}


@pytest.fixture
def bench(
    database: Database, engine: Engine, broker: Broker, apply_site: Callable[..., Any]
) -> Iterator[Bench]:
    apply_site(SITE)
    with ingesting(database, engine, broker) as bench:
        yield bench


def test_every_sample_of_a_network_server_is_accounted_for(bench: Bench) -> None:
    everything = [(sample.topic, sample.body) for sample in samples().values()]
    bench.publish_all(everything)
    counted = bench.settle(len(everything))
    assert counted == LEDGER
    assert len(bench.rows("SELECT FROM uplink")) == STORED
    _uplinks_are_as_their_servers_mean_them(bench)
    _values_are_readings_in_canonical_units(bench)
    _events_stand_on_their_device(bench)
    _a_repeat_changes_nothing(bench, everything)


def _uplinks_are_as_their_servers_mean_them(bench: Bench) -> None:
    found = bench.rows("""
        SELECT device.key, f_cnt, f_port, gateways, history, radio->'rssi_dbm'->0 AS rssi,
               observed_at AS at
        FROM uplink JOIN device ON device.id = device_id WHERE event = 'up' ORDER BY key, f_cnt
    """)
    assert [tuple(row.values())[:6] for row in found] == [
        ("bytes", 311, 2, ["7276ff0000000001"], False, -99),
        ("dev1", 1, 0, ["9c5c8e00001a05c4"], False, -35),
        ("dev1-old", 0, 15, ["0242020000247803"], False, -35),
        ("gauge-a1", 0, 2, ["ac1f09fffe0000b1", "ac1f09fffe0000b2"], False, -97),
        ("meter", 8, None, None, False, -80.1),
        ("room", 41, 85, ["24e124fffe0000d1"], False, -63),
        ("room", 42, 85, ["24e124fffe0000d1"], True, -64),
        ("soil", 0, 1, ["ac1f09fffe0000f1"], False, -101),
    ]
    assert found[1]["at"] == datetime(2020, 2, 12, 15, 15, 45, 787000, UTC)
    placed = bench.rows("SELECT gateway_id FROM gateway WHERE lat IS NOT NULL ORDER BY gateway_id")
    assert [row["gateway_id"] for row in placed] == [
        *("24e124fffe0000d1", "ac1f09fffe0000b1", "ac1f09fffe0000f1"),
    ]


def _values_are_readings_in_canonical_units(bench: Bench) -> None:
    found = bench.rows("""
        SELECT device.key, property, value FROM reading
        JOIN datastream ON datastream.id = datastream_id JOIN device ON device.id = device_id
        ORDER BY key, property, time
    """)
    assert [tuple(row.values()) for row in found] == [
        ("dev1", "air_temperature", 1.0),
        ("dev1", "illuminance", 0.64),
        ("gauge-a1", "battery_level", 74.8),
        ("gauge-a1", "battery_voltage", 3.55),
        ("gauge-a1", "link_margin", 12),
        ("gauge-a1", "water_level", 0.415),
        ("meter", "water_volume_index", 1.204),
        ("room", "air_temperature", 26.6),
        ("room", "air_temperature", 26.1),  # from its history, twenty minutes later
        ("room", "relative_humidity", 41),
        ("room", "relative_humidity", 42),
        ("soil", "battery_level", 50),
        ("soil", "link_margin", -4),
        ("soil", "soil_moisture", 31.5),
    ]


def _events_stand_on_their_device(bench: Bench) -> None:
    found = bench.rows("""
        SELECT device.key, kind, at, detail FROM device_event
        JOIN device ON device.id = device_id ORDER BY key, kind, at
    """)
    assert [(row["key"], row["kind"]) for row in found] == [
        *(("dev1", kind) for kind in ("ack", "join", "log")),
        *(("dev1-old", kind) for kind in ("ack", "join")),
        *(
            ("gauge-a1", kind)
            for kind in ("ack", "integration", "join", "location", "log", "status", "txack")
        ),
        ("soil", "status"),
    ]
    where = next(row for row in found if row["kind"] == "location")
    assert (where["detail"]["lat"], where["detail"]["lon"]) == (-6.4812, 106.8533)
    assert where["at"] == datetime(2026, 3, 1, 2, 18, tzinfo=UTC)


def _a_repeat_changes_nothing(bench: Bench, everything: list[tuple[str, bytes]]) -> None:
    before = bench.rows("SELECT * FROM device_event ORDER BY event_id")
    keyed = [each for each in everything if b"my-correlation-id" not in each[1]]
    bench.publish_all(keyed)
    counted = bench.settle(len(everything) + len(keyed))
    assert counted == {**LEDGER, "repeat": len(keyed)}
    assert bench.rows("SELECT * FROM device_event ORDER BY event_id") == before


def test_what_tts_simulated_is_no_measurement(bench: Bench) -> None:
    sample = samples()["tts-v3/uplink_message/df0"]
    bench.publish(sample.topic, {**sample.payload, "simulated": True})
    assert bench.settle(1) == {"rejected:simulated": 1}
    assert bench.rows("SELECT FROM reading") == []


def test_the_newest_events_of_each_kind_are_kept(bench: Bench) -> None:
    join = samples()["chirpstack-v4/join"]
    for number in range(device_event.MOST + 5):
        at = f"2026-03-01T{number // 60:02d}:{number % 60:02d}:00Z"
        event = {**join.payload, "deduplicationId": f"join-{number}", "time": at}
        bench.client.publish(join.topic, json.dumps(event), qos=1)
    log = samples()["chirpstack-v4/log"]
    bench.publish(log.topic, log.body)
    assert bench.settle(device_event.MOST + 6) == {"stored": device_event.MOST + 6}
    kept = bench.rows("SELECT kind, count(*) AS n, min(at) AS oldest FROM device_event GROUP BY 1")
    assert {row["kind"]: row["n"] for row in kept} == {"join": device_event.MOST, "log": 1}
    (oldest,) = (row["oldest"] for row in kept if row["kind"] == "join")
    assert oldest == datetime(2026, 3, 1, 0, 5, tzinfo=UTC)


def test_strange_text_in_an_event_is_kept_as_the_database_can(bench: Bench) -> None:
    log = samples()["chirpstack-v4/log"]
    event = {**log.payload, "description": "a\0b" + "x" * 5000, "context": {"a\0": "\0"}}
    bench.publish(log.topic, event)
    assert bench.settle(1) == {"stored": 1}
    (kept,) = bench.rows("SELECT detail FROM device_event")
    assert kept["detail"]["description"].startswith("a\\0bxxx")
    assert kept["detail"]["context"] == {"a\\0": "\\0"}


def test_a_plain_message_can_say_that_it_is_history(bench: Bench) -> None:
    for minute, said in enumerate(({}, {"history": True}, {"history": "yes"})):
        at = f"2026-03-01T00:{minute:02d}:00Z"
        message = {"time": at, "values": {"water_level": 1}, **said}
        bench.publish("livinglab/sources/logger/up", message)
    assert bench.settle(3) == {"stored": 2, "rejected:bad_message": 1}
    rows = bench.rows("SELECT history FROM uplink ORDER BY observed_at")
    assert [row["history"] for row in rows] == [False, True]
