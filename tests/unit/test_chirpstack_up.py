"""The quick reading of usual ChirpStack uplinks understands what their model understands."""

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from services.ingest import chirpstack_up
from services.ingest.adapters import chirpstack
from services.ingest.uplink import Message, Refused, Uplink
from tests.bench.ingest_messages import uplink
from tests.unit.test_adapter_rules import broken
from tests.vectors import samples

NOW = datetime(2026, 11, 22, 20, tzinfo=UTC)
SAMPLE = samples()["chirpstack-v4/up"]
EUI = SAMPLE.payload["deviceInfo"]["devEui"]


def by_model(body: bytes, monkeypatch: pytest.MonkeyPatch) -> Uplink | str:
    with monkeypatch.context() as patched:
        patched.setattr(chirpstack_up, "read", lambda *_: None)
        return understood(body)


def understood(body: bytes) -> Uplink | str:
    try:
        return chirpstack.parse(Message(SAMPLE.topic, body, NOW))
    except Refused as refused:
        return str(refused)


def with_(**members: Any) -> bytes:
    return json.dumps(copy.deepcopy(SAMPLE.payload) | members).encode()


def test_what_chirpstack_writes_is_read_quickly() -> None:
    topic, body = uplink(7)
    assert chirpstack_up.read(body, topic.split("/")[3]) is not None
    assert chirpstack_up.read(SAMPLE.body, EUI) is not None


def test_whatever_is_broken_both_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = [json.dumps(each).encode() for each in broken(SAMPLE.payload)]
    bodies += [SAMPLE.body[:cut] for cut in range(0, len(SAMPLE.body), 7)]
    quick = 0
    for body in bodies:
        assert understood(body) == by_model(body, monkeypatch), body
        quick += _is_read_quickly(body)
    assert quick > 100, "the comparison met hardly any"


def _is_read_quickly(body: bytes) -> bool:
    try:
        return chirpstack_up.read(body, EUI) is not None
    except Refused:
        return True


@pytest.mark.parametrize(
    "body",
    [
        with_(time="2026-03-01T02:15:30.123456789Z"),
        with_(time="2026-03-01T02:15:30.9999999+07:00"),
        with_(time="2026-03-01T02:15:60Z"),
        with_(time="20260301T021530Z"),
        with_(time="2026-W09-7T02:15:30Z"),
        with_(time=1_772_331_330),
        with_(fCnt="7"),
        with_(fCnt=7.0),
        with_(data="-_8"),
        with_(data="qg=="),
        with_(data="qg"),
        with_(object={"a": True, "b": None, "c": "text", "d": [1, {"e": 2}]}),
        with_(object={str(i): i for i in range(501)}),
        with_(object={"history": [{"timestamp": 1_772_331_330, "level": 1}], "level": 2}),
        with_(rxInfo=[{"gatewayId": "a\0b"}]),
        with_(rxInfo=[{"gatewayId": "ab", "snr": 7, "location": {"latitude": 91}}]),
        with_(joinServerContext={"sessionKeyId": "x"}),
        with_(deduplicationId="서울"),
        SAMPLE.body.replace(b'"fCnt"', b'"fCnt": 3, "fCnt"'),
        SAMPLE.body.replace(b'"object": {', b'"object": {"x": 1e999, '),
        SAMPLE.body.replace(b'"object": {', b'"object": {"x": "\xff", '),
        SAMPLE.body.replace(b'"object": {', b'"strange": "\xff", "object": {'),
        SAMPLE.body.replace(b'"object": {', b'"object": {"x": "\\ud800", '),
        SAMPLE.body.replace(b'"object": {', b'"object": {"x": ' + b"[" * 2000 + b"]" * 2000 + b","),
        b"\xef\xbb\xbf" + SAMPLE.body,
    ],
)
def test_corners_are_read_alike(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert understood(body) == by_model(body, monkeypatch)


def test_nan_is_left_to_the_model() -> None:
    body = SAMPLE.body.replace(b'"object": {', b'"object": {"x": NaN, ')
    assert b"NaN" in body
    assert chirpstack_up.read(body, EUI) is None
