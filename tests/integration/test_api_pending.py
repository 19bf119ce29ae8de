"""What the broker still holds, as the ledger tells it."""

import threading

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from shared import broker_monitor
from shared.broker_monitor import MonitorUnreachable
from shared.embedded.nats import Broker, free_port
from shared.settings import Database, Mqtt
from tests.integration import api_world

TOPIC = "livinglab/site/device/up"


def connected(broker: Broker, name: str, *, clean: bool = True) -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, name, clean_session=clean, manual_ack=True)
    place = Mqtt(url=broker.url)
    client.username_pw_set(place.username, place.password)
    client.connect(place.host, place.port)
    client.loop_start()
    return client


def stop(client: mqtt.Client) -> None:
    client.disconnect()
    client.loop_stop()


def subscribed(broker: Broker) -> mqtt.Client:
    """A session that outlives its connection, subscribed and acknowledging nothing."""
    client = connected(broker, "ingest", clean=False)
    done = threading.Event()
    client.on_subscribe = lambda *_: done.set()
    client.subscribe(TOPIC, qos=1)
    assert done.wait(60)
    return client


def publish(broker: Broker, count: int) -> None:
    client = connected(broker, "publisher")
    for _ in range(count):
        client.publish(TOPIC, b"{}", qos=1).wait_for_publish(10)
    stop(client)


def test_an_untouched_broker_holds_nothing(broker: Broker) -> None:
    assert broker_monitor.pending(broker.monitor_url) == 0


def test_queued_and_unacknowledged_messages_are_both_pending(broker: Broker) -> None:
    received = threading.Semaphore(0)
    client = subscribed(broker)
    client.on_message = lambda *_: received.release()
    publish(broker, 2)
    for _ in range(2):
        assert received.acquire(timeout=60)
    assert broker_monitor.pending(broker.monitor_url) == 2
    stop(client)
    publish(broker, 3)
    assert broker_monitor.pending(broker.monitor_url) == 5


@pytest.mark.parametrize("url", ["http://127.0.0.1:{}", "no address", "http://[::1"])
def test_a_monitor_that_does_not_answer_is_an_error_with_its_address(url: str) -> None:
    url = url.format(free_port())
    with pytest.raises(MonitorUnreachable) as told:
        broker_monitor.pending(url)
    assert url in str(told.value)


@pytest.mark.database
async def test_the_ledger_tells_what_is_pending_or_why_it_cannot(
    database: Database, broker: Broker
) -> None:
    stop(subscribed(broker))
    publish(broker, 3)
    async with api_world.api(database, monitor_url=broker.monitor_url) as client:
        totals = (await client.get("/v1/ledger")).json()["totals"]
    assert (totals["pending"], totals["pending_reason"]) == (3, None)
    gone = f"http://127.0.0.1:{free_port()}"
    async with api_world.api(database, monitor_url=gone) as client:
        totals = (await client.get("/v1/ledger")).json()["totals"]
    assert totals["pending"] is None
    assert gone in totals["pending_reason"]
