"""Several workers at one queue of NATS: shared, complete, and with no more rights than it takes."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from shared.errors import OperatorError
from shared.settings import Database
from tests.integration.broker_world import World
from tests.integration.mqtt_attempt import Attempt, eventually
from tests.integration.queue_world import Workers, workers
from tests.integration.test_ingest_path import NOW, site

pytestmark = pytest.mark.database
OURS, FOREIGN = "livinglab/cibinong/g1/up", "elsewhere/g1/up"


@pytest.fixture
def at(tmp_path: Path, database: Database, apply_site: Callable[..., Any]) -> Iterator[Workers]:
    apply_site(site())
    with workers(tmp_path, database) as made:
        yield made


def reading(n: int) -> bytes:
    at = (NOW - timedelta(seconds=n)).isoformat()
    return json.dumps({"time": at, "seq": n, "values": {"level": n % 97}}).encode()


def stored(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM uplink")) or 0


def publish(world: World, topic: str, numbers: range) -> None:
    """Each acknowledged, one after the other."""
    publisher = Attempt(world.place, "publisher")
    assert all(publisher.publish(topic, reading(n)) for n in numbers)
    publisher.close()


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
