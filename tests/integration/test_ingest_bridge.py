"""The Things Stack is another broker: a Mosquitto between the two brings its messages to ours."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import Engine

from shared.embedded.child import Child, spawn, wait_until
from shared.embedded.nats import Broker, free_port, listens
from shared.settings import Database, Mqtt
from tests.integration.ingest_bench import Bench
from tests.integration.mosquitto import MOSQUITTO
from tests.integration.test_ingest_mosquitto import run
from tests.integration.test_ingest_sources import SITE
from tests.vectors import samples

pytestmark = [
    pytest.mark.database,
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed"),
]
# The Things Stack knows QoS 0 only; from the bridge on, a message waits for us.
BRIDGE = """
upgrade_outgoing_qos true
max_queued_messages 100000

connection tts
address 127.0.0.1:{tts}
remote_username app1@ttn
remote_password NNSXS.KEY
remote_clientid livinglab-bridge
bridge_protocol_version mqttv311
try_private false
notifications false
topic v3/app1@ttn/devices/# in 0

connection livinglab
address {ours.host}:{ours.port}
remote_username {ours.username}
remote_password {ours.password}
remote_clientid tts-bridge
bridge_protocol_version mqttv311
try_private false
notifications false
cleansession false
topic v3/app1@ttn/devices/# out 1
"""


def mosquitto(directory: Path, name: str, more: str = "") -> tuple[Child, int]:
    port = free_port()
    config = directory / f"{name}.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n{more}")
    child = spawn(name, [str(MOSQUITTO), "-c", str(config), "-v"], log=directory / f"{name}.log")
    wait_until(lambda: listens(port), child, patience_s=60, what="did not listen")
    return child, port


@pytest.fixture
def tts(tmp_path: Path, broker: Broker) -> Iterator[int]:
    """The port of a broker standing for The Things Stack, bridged to ours."""
    stack, port = mosquitto(tmp_path, "stack")
    ours = Mqtt(url=broker.url)
    bridge, _ = mosquitto(tmp_path, "bridge", BRIDGE.format(tts=port, ours=ours))
    subscribed = tmp_path / "stack.log"
    wait_until(
        lambda: "v3/app1@ttn/devices/#" in subscribed.read_text(),
        bridge,
        patience_s=60,
        what="did not subscribe",
    )
    yield port
    bridge.stop()
    stack.stop()


def connected(port: int) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


def test_what_crosses_the_bridge_while_ingest_is_away_arrives(
    database: Database, engine: Engine, broker: Broker, tts: int, apply_site: Callable[..., Any]
) -> None:
    apply_site(SITE)
    run(database, Mqtt(url=broker.url))()  # its session stays
    bench = Bench(broker, engine)
    crossed, watching = threading.Semaphore(0), threading.Event()
    bench.client.on_message = lambda *_: crossed.release()
    bench.client.on_subscribe = lambda *_: watching.set()
    bench.client.subscribe("v3/app1@ttn/devices/#")
    assert watching.wait(60)
    network_server = connected(tts)
    for name in ("tts-v3/join_accept/df1", "tts-v3/uplink_message/df0"):
        network_server.publish(samples()[name].topic, samples()[name].body, qos=0)
        assert crossed.acquire(timeout=60)
    stopping = run(database, Mqtt(url=broker.url))
    assert bench.settle(2) == {"stored": 2}
    found = bench.rows("SELECT event, f_cnt FROM uplink ORDER BY event")
    assert [tuple(row.values()) for row in found] == [("join", None), ("up", 1)]
    stopping()
    network_server.disconnect()
    network_server.loop_stop()
    bench.close()
