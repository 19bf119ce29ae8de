"""From a message at the broker to a webhook: a rise, an overstay, a leak and a dead sensor."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from services.analytics import main as analytics
from services.ingest import main as ingest
from shared.embedded.nats import Broker, free_port
from shared.settings import Alerts, Analytics, Database, Ingest, Mqtt
from tests.integration import analytics_site as world
from tests.integration.alert_receivers import SECRET, Hook, hook
from tests.integration.ingest_bench import Bench, wait_healthy
from tests.integration.test_analytics_service import until

pytestmark = pytest.mark.database
HOUR = timedelta(hours=1)
NIGHTS, LEAKING = 45, 12
Message = tuple[str, bytes]


def site() -> dict[str, Any]:
    """Measured pilots of one town: gauges, bays, a district meter, and a sensor each minute."""
    made = world.site(("g1", "gauge"), ("dies", "minute"))
    made["profiles"] += [
        {**made["profiles"][0], "key": "minute", "interval_s": 60},
        {"key": "flow", "interval_s": 3600, "fields": {"q": {"property": "flow"}}},
        {"key": "bay", "interval_s": 14400, "fields": {"in": {"property": "bay_occupied"}}},
    ]
    made["pilots"] += [
        {**made["pilots"][0], "key": "bays", "kind": "parking", "params": {"limit_min": 60}},
        {
            **made["pilots"][0],
            "key": "leaks",
            "kind": "leakage",
            "params": {"areas": {"town": {"inflows": ["q1"]}}},
        },
    ]
    made["devices"][1]["pilot"] = "flood"
    made["devices"] += [
        {**made["devices"][0], "key": "b1", "pilot": "bays", "profile": "bay"},
        {**made["devices"][0], "key": "q1", "pilot": "leaks", "profile": "flow"},
    ]
    for part in (*made["pilots"], *made["devices"]):
        part["origin"] = "measured"
    return made


def up(device: str, time: datetime, **values: float) -> Message:
    said = {"time": time.isoformat(), "values": values}
    return f"livinglab/town/{device}/up", json.dumps(said).encode()


def flows(now: datetime) -> list[Message]:
    """Hourly flow of a district up to this hour; 4 L/s more in the last nights."""
    generator = np.random.default_rng(1)
    last = now.replace(minute=0, second=0, microsecond=0)
    messages = []
    for back in range(24 * NIGHTS, -1, -1):
        time = last - back * HOUR
        use = 12 + 6 * np.sin((time.hour - 1) * np.pi / 12) + generator.normal(0, 0.2)
        leak = 4.0 if back < 24 * LEAKING else 0.0
        messages.append(up("q1", time, q=round(float(use + leak), 3)))
    return messages


@pytest.fixture
def receiver() -> Iterator[Hook]:
    with hook() as listening:
        yield listening


@pytest.fixture
def bench(
    database: Database,
    engine: Engine,
    broker: Broker,
    apply_site: Callable[..., Any],
    receiver: Hook,
) -> Iterator[Bench]:
    """Ingest and analytics as they run, alerts to the receiver, and a publisher."""
    apply_site(site())
    stop, port = threading.Event(), free_port()
    alerts = Alerts(webhook_url=receiver.url, webhook_secret=SECRET)
    mqtt = Mqtt(url=broker.url)
    threads = [
        threading.Thread(target=run, args=arguments, daemon=True)
        for run, arguments in (
            (ingest.run, (database, mqtt, Ingest(health_port=port, batch_ms=20), stop)),
            (analytics.run, (database, Analytics(), stop, alerts)),
        )
    ]
    for thread in threads:
        thread.start()
    wait_healthy(port)
    until(lambda: world.rows(engine, "SELECT FROM job WHERE name = 'silent'"))
    bench = Bench(broker, engine)
    yield bench
    bench.close()
    stop.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_what_was_planted_reaches_the_receiver_once(bench: Bench, receiver: Hook) -> None:
    now = datetime.now(UTC)
    past = flows(now)
    bench.publish_all(past[-1:])  # else it is silent, rightly, while its past is on its way
    bench.publish_all(past[: -24 * LEAKING])
    bench.publish_all(past[-24 * LEAKING : -1])
    bench.publish_all(
        [
            up("g1", now - timedelta(minutes=15), level=0.3),
            up("g1", now, level=0.9),
            up("b1", now - 2 * HOUR, **{"in": 0.0}),
            up("b1", now - 1.5 * HOUR, **{"in": 1.0}),
            up("b1", now, **{"in": 1.0}),
            up("dies", now - timedelta(minutes=4, seconds=58), level=0.2),  # five are its limit
        ]
    )
    wanted = {("flood", "g1"), ("overstay", "b1"), ("leakage", "q1"), ("silent", "dies")}
    until(lambda: wanted <= told(receiver), 60)
    bench.publish(*up("g1", now + timedelta(seconds=30), level=0.95))
    bench.publish(*up("dies", datetime.now(UTC), level=0.2))
    ended = "SELECT FROM finding WHERE kind = 'silent' AND ended_at IS NOT NULL"
    until(lambda: bench.rows(ended))
    until(lambda: not bench.rows("SELECT FROM finding WHERE announced IS NULL"))
    assert told(receiver) == wanted
    # A leak may have been judged, and told, while half of it was still on its way.
    raised = [said for _, said in receiver.requests if said["type"] == "finding.raised"]
    assert len(raised) == len(wanted)
    assert len({message_id for message_id, _ in receiver.requests}) == len(receiver.requests)
    assert receiver.forged == []


def told(receiver: Hook) -> set[tuple[str, str]]:
    return {(said["data"]["kind"], said["data"]["device"]) for _, said in receiver.accepted}
