"""Three nodes and two workers: one node, the stream's leader and a worker are killed under load."""

import itertools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from shared.settings import Database
from tests.integration.cluster_world import Cluster, Node, cluster
from tests.integration.counting_publisher import CountingPublisher, plain_reading
from tests.integration.mqtt_attempt import eventually
from tests.integration.queue_world import hasty
from tests.integration.test_ingest_path import NOW, site

pytestmark = pytest.mark.database
TOPIC = "livinglab/cibinong/g1/up"
RESUMES_WITHIN_S = 60.0  # what the issue promises
RATE = 200.0


@pytest.fixture
def at(tmp_path: Path, database: Database, apply_site: Callable[..., Any]) -> Iterator[Cluster]:
    apply_site(site())
    with cluster(tmp_path, database) as made:
        yield made


def stored(engine: Engine) -> dict[int, int]:
    """How many raw uplinks there are of each number."""
    with engine.connect() as connection:
        times = connection.scalars(text("SELECT observed_at FROM uplink"))
        numbers = sorted(round((NOW - at).total_seconds()) for at in times)
    return {n: len([*same]) for n, same in itertools.groupby(numbers)}


def resumed(engine: Engine, publisher: CountingPublisher) -> float:
    """Seconds from now until a message begun after now is acknowledged and stored."""
    begun, last = time.monotonic(), max(publisher.acknowledged, default=0) + 200
    eventually(lambda: any(n > last for n in stored(engine)), RESUMES_WITHIN_S)
    return time.monotonic() - begun


def killed(node: Node, engine: Engine, publisher: CountingPublisher, at: Cluster) -> float:
    """Kill a node, see that the work goes on without it, bring it back; seconds of silence."""
    node.kill()
    silence = resumed(engine, publisher)
    node.start()
    node.listening()
    eventually(at.whole, 120)
    return silence


def a_round(at: Cluster, engine: Engine, publisher: CountingPublisher) -> dict[str, float]:
    """One node, the stream's leader, one of two workers are killed; seconds until work goes on."""
    leader = at.leader()
    other = next(node for node in at.nodes.values() if node is not leader)
    silence = {"node": killed(other, engine, publisher, at)}
    silence["leader"] = killed(at.leader(), engine, publisher, at)
    worker = at.workers.running.pop(0)
    worker.process.kill()
    worker.process.wait()
    silence["worker"] = resumed(engine, publisher)
    at.workers.start()
    return silence


def nothing_is_lost_or_twice(at: Cluster, engine: Engine, publisher: CountingPublisher) -> None:
    publisher.stop()
    eventually(lambda: at.workers.kept() == 0, 120)
    found = stored(engine)
    assert not publisher.acknowledged.keys() - found.keys()
    assert set(found.values()) == {1}
    with engine.connect() as connection:
        readings, distinct, counted = connection.execute(
            text(
                "SELECT count(*), count(DISTINCT (datastream_id, time)),"
                " (SELECT sum(n) FROM ledger WHERE kind = 'stored') FROM reading"
            )
        ).one()
    assert readings == distinct == counted == len(found)


def begun(at: Cluster, rate: float) -> CountingPublisher:
    """Two workers, and a publisher that knows every node."""
    for _ in range(2):
        at.workers.start()
    places = [node.place for node in at.nodes.values()]
    return CountingPublisher(places, plain_reading(TOPIC, NOW), rate)


def test_what_was_acknowledged_survives_the_leader_and_a_worker_at_once(
    at: Cluster, engine: Engine
) -> None:
    hasty(at.workers)
    publisher = begun(at, RATE)
    eventually(lambda: len(publisher.acknowledged) > RATE)
    at.leader().kill()
    worker = at.workers.running.pop()
    worker.process.kill()
    worker.process.wait()
    assert resumed(engine, publisher) < RESUMES_WITHIN_S
    nothing_is_lost_or_twice(at, engine, publisher)


@pytest.mark.long
def test_what_was_acknowledged_survives_the_death_of_a_node_its_leader_and_a_worker(
    at: Cluster, engine: Engine
) -> None:
    hasty(at.workers)
    publisher = begun(at, RATE)
    silence = a_round(at, engine, publisher)
    nothing_is_lost_or_twice(at, engine, publisher)
    print(silence, len(publisher.acknowledged), publisher.connections)  # noqa: T201
    assert max(silence.values()) < RESUMES_WITHIN_S


def replaced(node: Node, engine: Engine, publisher: CountingPublisher, at: Cluster) -> None:
    """Another machine in its place, of the same name and empty."""
    node.kill()
    shutil.rmtree(node.directory / node.name)
    resumed(engine, publisher)
    node.start()
    node.listening()
    eventually(at.whole, 120)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_same_five_times_over_at_the_pace_of_production(at: Cluster, engine: Engine) -> None:
    publisher = begun(at, 5 * RATE)
    for _ in range(5 if os.environ.get("LAB_TEST_FULL") else 1):
        silence = a_round(at, engine, publisher)
        print(silence)  # noqa: T201
        assert max(silence.values()) < RESUMES_WITHIN_S
    replaced(at.leader(), engine, publisher, at)
    nothing_is_lost_or_twice(at, engine, publisher)
