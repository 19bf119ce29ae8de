"""An overstay through everything: messages → broker → ingest → analytics → finding."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from services.analytics import main as analytics
from services.ingest import main as ingest
from shared.embedded.nats import Broker, free_port
from shared.settings import Analytics, Database, Ingest, Mqtt
from tests.integration.ingest_bench import Bench, wait_healthy
from tests.integration.parking_site import LIVE, site

pytestmark = pytest.mark.database
START = (datetime.now(UTC) - timedelta(days=2)).replace(microsecond=0)


@pytest.fixture
def bench(
    database: Database, engine: Engine, broker: Broker, apply_site: Callable[..., Any]
) -> Iterator[Bench]:
    """Ingest and analytics at work; analytics looks by itself once an hour only."""
    apply_site(site("a", "b", limit_min=120))
    stop, port = threading.Event(), free_port()
    mqtt, settings = Mqtt(url=broker.url), Ingest(health_port=port, batch_ms=20)
    workers = [
        threading.Thread(target=ingest.run, args=(database, mqtt, settings, stop)),
        threading.Thread(target=analytics.run, args=(database, Analytics(every_s=3600), stop)),
    ]
    for worker in workers:
        worker.start()
    wait_healthy(port)
    bench = Bench(broker, engine)
    yield bench
    bench.close()
    stop.set()
    for worker in workers:
        worker.join(20)
    assert not any(worker.is_alive() for worker in workers)


def say(bench: Bench, bay: str, minute: float, state: int) -> None:
    at = (START + timedelta(minutes=minute)).isoformat()
    bench.publish(f"livinglab/town/{bay}/up", {"time": at, "values": {"occupied": state}})


def until(bench: Bench, wanted: list[tuple[str, datetime, bool]]) -> None:
    """Wait for exactly these live findings: bay, start, whether it lasts."""
    give_up = time.monotonic() + 60
    while True:
        found = [
            (row["device"], row["started_at"], row["ended_at"] is None) for row in bench.rows(LIVE)
        ]
        if found == wanted:
            return
        assert time.monotonic() < give_up, found
        time.sleep(0.05)


def test_an_overstay_is_found_by_the_sign_of_life_of_another_bay_and_ends(bench: Bench) -> None:
    say(bench, "b", 0, 0)
    say(bench, "a", 0, 0)
    say(bench, "a", 10, 1)
    say(bench, "a", 10, 1)  # delivered twice
    say(bench, "b", 129, 0)
    bench.settle(4)
    assert bench.rows(LIVE) == []
    say(bench, "b", 131, 0)
    limit = START + timedelta(minutes=130)
    until(bench, [("a", limit, True)])
    say(bench, "a", 200, 0)
    until(bench, [("a", limit, False)])
    assert len(bench.rows("SELECT FROM finding")) == 1
