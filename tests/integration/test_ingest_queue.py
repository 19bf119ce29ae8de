"""Several workers at one queue of NATS: shared, complete, and with no more rights than it takes."""

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from services.cli.broker.shared_queue import state as queue_state
from services.ingest import main
from shared.errors import OperatorError
from shared.jetstream import ACK_WAIT_S, INBOX
from shared.nats_client import connected
from shared.settings import Database, Ingest, Mqtt
from tests.integration.broker_world import World
from tests.integration.counting_publisher import CountingPublisher, plain_reading
from tests.integration.mqtt_attempt import PATIENCE_S, Attempt, eventually, with_user
from tests.integration.mqtt_attempt import refused as not_let_in
from tests.integration.queue_world import Workers, hasty, workers
from tests.integration.test_ingest_path import NOW, site

pytestmark = pytest.mark.database
OURS, FOREIGN = "livinglab/cibinong/g1/up", "elsewhere/g1/up"


@pytest.fixture
def at(tmp_path: Path, database: Database, apply_site: Callable[..., Any]) -> Iterator[Workers]:
    apply_site(site())
    with workers(tmp_path, database) as made:
        yield made


def stored(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM uplink")) or 0


def publish(world: World, topic: str, numbers: range) -> None:
    """Each acknowledged, one after the other."""
    publisher = Attempt(world.place, "publisher")
    described = map(plain_reading(topic, NOW), numbers)
    assert all(publisher.publish(*each) for each in described)
    publisher.close()


def burst(world: World, topic: str, most: int) -> None:
    """Many at once, and every acknowledgement awaited."""
    CountingPublisher([world.place], plain_reading(topic, NOW), 1e6, most).wait()


def repeats(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(text("SELECT sum(n) FROM ledger WHERE kind = 'repeat'")) or 0


def connections(at: Workers) -> int:
    """How many workers have made since the broker began."""
    monitor = at.at.variables["LAB_MQTT_MONITOR_URL"]
    told = httpx.get(f"{monitor}/connz", params={"state": "any", "limit": "1000"}).json()
    return sum(each.get("name", "").startswith(INBOX) for each in told["connections"])


def test_init_makes_the_queue_before_the_first_publisher_and_repeating_it_is_safe(
    at: Workers, engine: Engine
) -> None:
    told = at.at.told("init").splitlines()
    assert [line[0] for line in told] == ["+", *"     ", "+"]
    assert at.at.told("init").splitlines()[-1].startswith("  queue livinglab: ")
    publish(at.at, FOREIGN, range(5))
    assert at.kept() == 0  # of no source: costs nothing
    publish(at.at, OURS, range(5))
    assert at.kept() == 5  # before any worker
    at.start()
    eventually(lambda: stored(engine) == 5)
    eventually(lambda: at.kept() == 0)


def test_how_the_queue_stands_is_told_with_a_workers_rights(at: Workers) -> None:
    at.at.told("init")
    publish(at.at, OURS, range(5))
    variables = at.at.variables
    ingest = Ingest(source="jetstream", nats_url=variables["LAB_INGEST_NATS_URL"])
    told = queue_state(Mqtt(url=variables["LAB_MQTT_URL"]), ingest)
    assert told == "livinglab: 5 wait, 0 under way, one copy"


def test_what_is_published_before_the_queue_is_made_is_kept_for_nobody(at: Workers) -> None:
    publish(at.at, OURS, range(3))
    at.at.told("init")
    assert at.kept() == 0


def test_two_workers_share_what_comes_and_nothing_is_lost_or_twice(
    at: Workers, engine: Engine
) -> None:
    at.at.told("init")
    both = [at.start(LAB_INGEST_BATCH_SIZE="20") for _ in range(2)]
    burst(at.at, OURS, 1000)
    eventually(lambda: stored(engine) == 1000)
    eventually(lambda: at.kept() == 0)
    shares = [worker.stored() for worker in both]
    assert sum(shares) == 1000
    assert min(shares) > 100
    assert repeats(engine) == 0
    assert connections(at) == len(both)  # a pull that ends is no reason to begin anew


def test_what_a_killed_worker_held_is_stored_by_the_other(at: Workers, engine: Engine) -> None:
    at.at.told("init")
    hasty(at)
    killed, other = at.start(), at.start()
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE uplink"))  # both hold what they pulled
        burst(at.at, OURS, 600)
        killed.process.kill()
        killed.process.wait()
    eventually(lambda: stored(engine) == 600)
    eventually(lambda: at.kept() == 0)
    assert other.healthy()


def test_a_worker_that_stops_gives_back_what_it_holds(at: Workers, engine: Engine) -> None:
    at.at.told("init")
    stopped = at.start()
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE uplink"))
        burst(at.at, OURS, 50)
        eventually(lambda: at.waiting()["num_ack_pending"] == 50)
        stopped.process.terminate()
        time.sleep(1)  # it waits for the lock, and is stopped in that
    assert stopped.process.wait(30) == 0
    begun = time.monotonic()
    at.start()
    eventually(lambda: at.kept() == 0)
    assert time.monotonic() - begun < ACK_WAIT_S
    assert stored(engine) == 50


def test_a_new_source_is_heard_at_once_and_an_odd_topic_stops_nobody(
    at: Workers, engine: Engine, apply_site: Callable[..., Any]
) -> None:
    at.at.told("init")
    at.start()
    more = site()
    more["sources"].append({"key": "odd", "adapter": "lab", "filters": ["odd.one/+/#"]})
    apply_site(more)
    topic = "odd.one/a\vb/c"  # NATS lets it in
    heard = "$MQTT.msgs.odd//one.*.>"
    eventually(lambda: heard in at.waiting()["config"]["filter_subjects"])
    publish(at.at, topic, range(1))
    publish(at.at, OURS, range(3))
    eventually(lambda: stored(engine) == 3)
    eventually(lambda: at.kept() == 0)
    with engine.connect() as connection:
        assert [*connection.scalars(text("SELECT topic FROM rejected"))] == [topic]


def test_a_broker_that_restarts_is_found_again_and_what_was_held_is_acknowledged(
    at: Workers, engine: Engine
) -> None:
    at.at.told("init")
    worker = at.start()
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE uplink"))
        burst(at.at, OURS, 100)
        eventually(lambda: at.waiting()["num_ack_pending"] == 100)
        at.restart()
        eventually(worker.healthy)
    eventually(lambda: at.kept() == 0)
    assert (stored(engine), repeats(engine)) == (100, 0)


NOT_FOR_WORKERS = (*(">", "$MQTT.sub.>", "$MQTT.msgs.>", "livinglab.>", "_INBOX.>", "$JS.API.>"),)
NOT_BY_WORKERS = (
    *("livinglab.cibinong.g1.up", "$MQTT.msgs.livinglab.cibinong.g1.up", "$SYS.REQ.SERVER.PING"),
    *("$JS.API.STREAM.DELETE.$MQTT_msgs", "$JS.API.STREAM.PURGE.$MQTT_msgs", "$JS.API.STREAM.LIST"),
    *("$JS.API.CONSUMER.DELETE.$MQTT_msgs.livinglab", "$JS.API.CONSUMER.CREATE.$MQTT_msgs.other"),
    *("$JS.API.STREAM.MSG.GET.$MQTT_msgs", "$JS.API.CONSUMER.INFO.$MQTT_sess.other"),
    "$JS.ACK.$MQTT_msgs.other.1.1.1.1.1",
)


def test_a_worker_may_do_its_work_and_nothing_else(at: Workers) -> None:
    at.at.told("init")
    url = at.settings.nats_addresses[0]
    refused = asyncio.run(tried(url, at.at.place))
    assert refused == {each.lower() for each in (*NOT_FOR_WORKERS, *NOT_BY_WORKERS)}
    user, password = at.settings.worker or ("", "")
    assert not_let_in(with_user(at.at.place, user, password))


async def tried(url: str, place: Mqtt) -> set[str]:
    """The subjects that NATS refuses this user, of those it must; nats-py tells in lower case."""
    told: list[str] = []

    async def refusal(error: Exception) -> None:
        told.append(str(error))

    async with connected(url, place.tls_context, error_cb=refusal) as client:
        for subject in NOT_FOR_WORKERS:
            await client.subscribe(subject)
        for subject in NOT_BY_WORKERS:
            await client.publish(subject, b"{}")
        deadline = time.monotonic() + PATIENCE_S
        while len(told) < len(NOT_FOR_WORKERS) + len(NOT_BY_WORKERS):
            assert time.monotonic() < deadline, told
            await asyncio.sleep(0.02)
    found = (re.search(r'to "([^"]+)"', each) for each in told)
    return {each[1] for each in found if each}


def test_without_its_queue_a_worker_says_what_to_do(at: Workers, database: Database) -> None:
    stop = threading.Event()
    with pytest.raises(OperatorError, match=r"LAB_INGEST_NATS_URL: .*`lab broker init` makes it"):
        main.run(database, at.at.place, at.settings, stop)


def test_after_a_change_of_source_the_old_one_is_named_and_ended(
    at: Workers, engine: Engine
) -> None:
    at.start(LAB_INGEST_SOURCE="mqtt").process.kill()
    publish(at.at, OURS, range(4))
    assert at.kept() == 4
    told = at.at.told("init").splitlines()
    assert told[-1].startswith("! ingest's MQTT session holds 4 messages")
    at.start()
    eventually(lambda: stored(engine) == 4)
    assert at.kept() == 4
    at.at.variables["LAB_INGEST_SOURCE"] = "jetstream"
    at.at.told("end", "mqtt")
    assert at.kept() == 0
    with pytest.raises(OperatorError, match="what is in use is not ended"):
        at.at.lab("end", "jetstream")
