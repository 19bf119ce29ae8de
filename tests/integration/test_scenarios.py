"""Scenarios on a real broker: what is counted as published is what the broker passes on."""

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from threading import Event, Thread

import orjson
import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from shared.embedded import nats
from shared.embedded.child import spawn, wait_until
from shared.settings import Mqtt
from simulators import clock, replay, run, scenario
from simulators.message import Message, Timed
from simulators.publish import Counts, PublishFailed, publishing

NOW = datetime(2026, 11, 22, 17, 16, 47, tzinfo=UTC)
FIRST = 2_000


def first_recorded() -> list[Message]:
    recorded = scenario.known()["recorded"]
    stream = recorded.messages(clock.anchor(NOW), NOW, 1)
    return [timed.message for timed in islice(stream, FIRST)]


@contextmanager
def subscriber(url: str) -> Iterator[set[tuple[str, bytes]]]:
    """Everything the broker passes on, in the order of nothing: a set of topic and payload."""
    got: set[tuple[str, bytes]] = set()
    ready, settings = Event(), Mqtt(url=url)

    def keep(_client: Client, _userdata: object, message: MQTTMessage) -> None:
        got.add((message.topic, message.payload))

    client = Client(CallbackAPIVersion.VERSION2, client_id="watch", clean_session=False)
    client.on_connect = lambda *_: client.subscribe("livinglab/#", qos=1)
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = keep
    client.username_pw_set(settings.username, settings.password)
    client.connect_async(settings.host, settings.port)
    client.reconnect_delay_set(1, 1)
    client.loop_start()
    try:
        assert ready.wait(60)
        yield got
    finally:
        client.disconnect()
        client.loop_stop()


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_published_counts_distinct_acknowledged_messages(broker: nats.Broker) -> None:
    sent = first_recorded()
    sent += sent[:100]  # a network server sends some of them again
    distinct = {(message.topic, message.payload) for message in sent}
    with subscriber(broker.url) as got:
        with publishing(Mqtt(url=broker.url), Event()) as publisher:
            for message in sent:
                publisher.send(message)
            assert publisher.drain(60)
        assert publisher.counts == Counts(len(distinct), len(sent) - len(distinct))
        assert publisher.counts.repeats >= 100
        eventually(lambda: got == distinct)


def test_a_broker_restart_loses_no_message(tmp_path: Path) -> None:
    sent, port = first_recorded(), nats.free_port()
    distinct = {(message.topic, message.payload) for message in sent}
    with nats.running(tmp_path / "nats", mqtt_port=port) as broker, subscriber(broker.url):
        url = broker.url
    reports: list[Counts] = []
    with nats.running(tmp_path / "nats", mqtt_port=port) as broker:
        connection = publishing(Mqtt(url=url), Event(), reports.append)
        publisher = connection.__enter__()
        for message in sent[:1000]:
            publisher.send(message)
        assert publisher.drain(60)
        broker.child.process.send_signal(signal.SIGSTOP)  # takes no more, then dies
        for message in sent[1000:1500]:
            publisher.send(message)
        broker.child.process.kill()
        broker.child.process.wait()
    publisher.step()
    assert publisher.counts.published == len({message.identity for message in sent[:1000]})
    with nats.running(tmp_path / "nats", mqtt_port=port), subscriber(url) as got:
        for message in sent[1500:]:
            publisher.send(message)
        assert publisher.drain(60)
        assert publisher.counts.published == len(distinct)
        eventually(lambda: got == distinct)
        connection.__exit__(None, None, None)
    assert reports


def test_a_second_run_counts_on_from_its_journal(broker: nats.Broker, tmp_path: Path) -> None:
    sent, journal = first_recorded()[:100], tmp_path / "published"
    distinct = len({message.identity for message in sent})
    for repeats in (100 - distinct, 100):
        with publishing(Mqtt(url=broker.url), Event(), journal=journal) as publisher:
            for message in sent:
                publisher.send(message)
            assert publisher.drain(60)
        assert publisher.counts == Counts(distinct, repeats)
        with journal.open("ab") as file:
            file.write(b"cut off")  # by a kill in the middle of writing
    assert journal.stat().st_size == 16 * distinct + len(b"cut off")


def test_a_scenario_runs_its_past_then_live_until_stopped(broker: nats.Broker) -> None:
    stop, reports = Event(), []
    begin = datetime.now(UTC)

    def stream(_anchor: datetime, _now: datetime, _seed: int) -> Iterator[Timed]:
        for number in range(100_000):
            due = begin + timedelta(seconds=(number - 50) / 10)
            body = orjson.dumps({"time": due, "values": {"x": number}})
            yield Timed(due, Message.by_content("livinglab/here/device/up", body))

    def progress(counts: Counts, done: bool) -> None:
        reports.append((counts, done))
        if counts.published >= 60:
            stop.set()

    counts = run.run(
        [scenario.Scenario("try", "Try", "simulated", lambda _: [], stream)],
        Mqtt(url=broker.url),
        seed=1,
        anchor=begin,
        now=begin,
        live=True,
        stop=stop,
        progress=progress,
    )
    assert next(counts for counts, done in reports if done).published >= 50
    assert reports[-1] == (counts, True)
    assert 60 <= counts.published < 100, "live messages wait until they are due"


def test_a_file_is_replayed_whole(broker: nats.Broker) -> None:
    data = Path(replay.__file__).parent / "data"
    reports: list[tuple[Counts, bool]] = []
    counts = replay.replay(
        data / "birmingham_car_parks.csv.gz",
        data / "birmingham_car_parks.map.yaml",
        Mqtt(url=broker.url),
        now=NOW,
        stop=Event(),
        progress=lambda counts, done: reports.append((counts, done)),
    )
    assert counts == Counts(24_336, 120)
    assert reports[-1] == (counts, True)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (Mqtt(url="mqtt://127.0.0.1:1"), r"LAB_MQTT_URL: .* 127\.0\.0\.1:1, .*refused"),
        (Mqtt(url="mqtt://no.such.host.invalid"), r"LAB_MQTT_URL: .* no\.such\.host\.invalid:1883"),
    ],
)
def test_an_unreachable_broker_is_one_line(settings: Mqtt, told: str) -> None:
    with pytest.raises(PublishFailed, match=told) as caught, publishing(settings, Event()):
        raise AssertionError("connected to nothing")
    assert "\n" not in str(caught.value)


def test_a_broker_that_refuses_mqtt_5_is_told(broker: nats.Broker) -> None:
    five = Mqtt(url=broker.url, protocol="5")
    with pytest.raises(PublishFailed, match=r"LAB_MQTT_URL: .*MQTT 5"), publishing(five, Event()):
        raise AssertionError("NATS has learned MQTT 5: change the default")


@pytest.mark.skipif(not shutil.which("mosquitto"), reason="mosquitto is not installed")
@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_mosquitto_takes_both_protocols(tmp_path: Path, protocol: str) -> None:
    port, config = nats.free_port(), tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    settings = Mqtt(url=f"mqtt://127.0.0.1:{port}", protocol=protocol)  # type: ignore[arg-type]
    sent = first_recorded()
    child = spawn("mosquitto", ["mosquitto", "-c", str(config)], log=tmp_path / "log")
    try:
        wait_until(
            lambda: "running" in (tmp_path / "log").read_text(),
            child,
            patience_s=60,
            what="did not start",
        )
        with publishing(settings, Event()) as publisher:
            for message in sent:
                publisher.send(message)
            assert publisher.drain(60)
        distinct = len({message.identity for message in sent})
        assert publisher.counts == Counts(distinct, FIRST - distinct)
    finally:
        child.stop()


def test_a_stop_ends_a_wait_for_a_broker_that_is_gone(tmp_path: Path) -> None:
    stop, ended = Event(), Event()
    with nats.running(tmp_path / "nats") as broker:
        connection = publishing(Mqtt(url=broker.url), stop)
        publisher = connection.__enter__()
        broker.child.process.kill()
        broker.child.process.wait()

    def send_all() -> None:
        for message in first_recorded():
            publisher.send(message)
        ended.set()

    sender = Thread(target=send_all)
    sender.start()
    assert not ended.wait(1), "the window is full and nobody acknowledges"
    stop.set()
    assert ended.wait(30)
    sender.join()
    connection.__exit__(None, None, None)
