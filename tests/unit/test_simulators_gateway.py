"""Simulated uplinks are what a ChirpStack server publishes, with the losses that were asked for."""

import base64
import json
import struct
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from uuid import UUID

from services.ingest.adapters.chirpstack import parse
from services.ingest.uplink import ByRadio, Message, Uplink
from simulators.device import Device, Rhythm
from simulators.gateway import Faults, Gateway, Network, up, uplinks
from simulators.gauge import Gauge

START = datetime(2026, 3, 1, tzinfo=UTC)
DEVICE = Device("gauge-1", "c1b1000000000101", Rhythm(900, jitter_s=5), Gauge(0.8))
NETWORK = Network(
    UUID("c1b10000-0000-4000-8000-000000000000"),
    "app",
    (Gateway("c1b1000000000001", -6.48, 106.85), Gateway("c1b1000000000002", -6.49, 106.86)),
)


def test_the_ingest_adapter_understands_an_uplink() -> None:
    sent = up(NETWORK, DEVICE, 1, 70_000, START)
    uplink = parse(Message(sent.topic, sent.payload, START))
    assert isinstance(uplink, Uplink)
    body = json.loads(sent.payload)
    millimetres = struct.unpack(">BH", base64.b64decode(body["data"]))[1]
    assert uplink.device == ByRadio("eui:c1b1000000000101")
    assert uplink.key == sent.key == body["deduplicationId"]
    assert uplink.observed_at == START
    assert uplink.f_cnt == 70_000
    assert uplink.records[0].fields == {"object.level_cm": millimetres / 10}
    assert 1 <= len(uplink.gateways) <= 2


def test_some_uplinks_are_heard_by_one_gateway_and_some_by_two() -> None:
    sent = [timed.message for timed in islice(uplinks(NETWORK, DEVICE, 1, START), 200)]
    heard = [len(json.loads(message.payload)["rxInfo"]) for message in sent]
    assert set(heard) == {1, 2}


def test_the_id_of_an_uplink_follows_from_seed_device_and_counter() -> None:
    same = up(NETWORK, DEVICE, 1, 5, START)
    assert up(NETWORK, DEVICE, 1, 5, START) == same
    assert up(NETWORK, DEVICE, 2, 5, START).key != same.key
    assert up(NETWORK, DEVICE, 1, 6, START).key != same.key


def test_faults_lose_repeat_and_delay_about_as_many_as_told() -> None:
    faults = Faults(lost=0.1, twice=0.05, late=0.2, max_delay=timedelta(hours=1))
    clean = {t.message.identity for t in islice(uplinks(NETWORK, DEVICE, 1, START), 2000)}
    end = START + timedelta(seconds=900 * 2000)
    sent = []
    for timed in uplinks(NETWORK, DEVICE, 1, START, faults):
        if timed.due > end + timedelta(hours=2):
            break
        sent.append(timed)
    identities = [timed.message.identity for timed in sent]
    known = [i for i in identities if i in clean]
    assert 0.07 < 1 - len(set(known)) / 2000 < 0.13
    assert 0.02 < (len(known) - len(set(known))) / 2000 < 0.08
    counters = [json.loads(timed.message.payload)["fCnt"] for timed in sent]
    assert any(b < a for a, b in pairwise(counters)), "late uplinks are overtaken"
    assert all(a.due <= b.due for a, b in pairwise(sent)), "in order of leaving"
