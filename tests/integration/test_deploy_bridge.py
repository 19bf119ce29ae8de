"""The deployed bridge brings The Things Stack's messages, also those sent while we were away."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import Engine

from shared.embedded import nats
from shared.embedded.child import Child, spawn, wait_until
from shared.embedded.nats import Broker, free_port, listens
from shared.settings import Database, Mqtt
from tests.compose import ROOT, configured
from tests.integration.ingest_bench import Bench
from tests.integration.mosquitto import MOSQUITTO
from tests.integration.test_exactly_once import ingest
from tests.integration.test_ingest_path import NOW, site

pytestmark = [
    pytest.mark.database,
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed"),
]
PLACE = "v3/flood@city"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[int]:
    """A broker in the place of The Things Stack; its port."""
    port, config = free_port(), tmp_path / "stack.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    child = spawn("stack", [str(MOSQUITTO), "-c", str(config)], log=tmp_path / "stack.log")
    wait_until(lambda: listens(port), child, patience_s=60, what="did not listen")
    yield port
    child.stop()


@pytest.fixture
def bridge(tmp_path: Path, stack: int, broker: Broker) -> Iterator[Child]:
    ours = Mqtt(url=broker.url)
    (state := tmp_path / "bridge").mkdir()
    config = configured(
        ROOT / "deploy/tts-bridge.conf",
        {
            "/var/lib/mosquitto/": f"{state}/",
            "CLUSTER.cloud.thethings.network:8883": f"127.0.0.1:{stack}",
            "bridge_capath /etc/ssl/certs\n": "",
            "APPLICATION@TENANT": "flood@city",
            "address 127.0.0.1:8883": f"address {ours.host}:{ours.port}",
            "bridge_cafile /etc/livinglab/ca.crt\n": "",
            "SITE.SOURCE": str(ours.username),
            "SOURCE-PASSWORD": str(ours.password),
        },
        tmp_path / "bridge.conf",
    )
    if os.geteuid() == 0:  # else Mosquitto changes to a user who may not write here
        config.write_text(f"user root\n{config.read_text()}")
    child = spawn("bridge", [str(MOSQUITTO), "-c", str(config)], log=tmp_path / "bridge.log")
    yield child
    child.stop()


def test_messages_of_qos_0_wait_for_ingest(
    database: Database,
    engine: Engine,
    broker: Broker,
    stack: int,
    bridge: Child,
    apply_site: Callable[..., Any],
) -> None:
    content = site()
    content["sources"].append({"key": "tts", "adapter": "tts", "filters": [f"{PLACE}/devices/#"]})
    apply_site(content)
    worker, bench = ingest(database, broker, nats.free_port()), Bench(broker, engine)
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="the-things-stack")
    client.connect("127.0.0.1", stack)
    client.loop_start()
    try:
        wait_until(
            lambda: arrived(client, bench, "first"), bridge, patience_s=60, what="carried nothing"
        )
        worker.terminate()
        worker.wait(60)
        for i in range(20):
            client.publish(f"{PLACE}/devices/away-{i}/up", body(f"away-{i}"), qos=0)
        worker = ingest(database, broker, nats.free_port())
        wait_until(
            lambda: len(told(bench, "away-")) == 20, bridge, patience_s=60, what="lost messages"
        )
    finally:
        client.disconnect()
        client.loop_stop()
        worker.terminate()
        worker.wait(60)
        bench.close()


def arrived(client: paho.Client, bench: Bench, device: str) -> bool:
    """Send until the bridge has joined both ends, and something has come through."""
    client.publish(f"{PLACE}/devices/{device}/up", body(device), qos=0)
    return bool(told(bench, device))


def told(bench: Bench, device: str) -> list[dict[str, Any]]:
    """These devices are in no site file: each of their messages is a reject."""
    return bench.rows(
        "SELECT DISTINCT topic FROM rejected WHERE topic LIKE :topic",
        topic=f"{PLACE}/devices/{device}%",
    )


def body(device: str) -> bytes:
    return json.dumps(
        {
            "end_device_ids": {
                "device_id": device,
                "application_ids": {"application_id": "flood"},
            },
            "received_at": NOW.isoformat(),
            "uplink_message": {"f_port": 1, "decoded_payload": {"level": 4}},
        }
    ).encode()
