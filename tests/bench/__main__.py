"""`make bench`: the whole ingest path beside the broker alone and COPY alone, on one machine."""

import io
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import orjson
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import text

from services.analytics import rollup, runner
from services.ingest import main as ingest
from shared.db import migrate, sites
from shared.db.engine import connect, sync_engine
from shared.embedded import nats, postgres
from shared.settings import Database, Ingest, Mqtt
from shared.site_file import parse
from simulators.message import Message
from simulators.publish import publishing

MESSAGES = 20_000
DEVICES = 50
VALUES = 3


class Row(NamedTuple):
    """One line of the table: what was done, how often, in how many seconds."""

    what: str
    readings: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.readings / self.seconds


def site() -> dict[str, object]:
    """Fifty devices of three values each."""
    names = ("water_level", "air_temperature", "battery_voltage")
    fields = {name: {"property": name} for name in names}
    return {
        "site": {"key": "bench", "name": "Bench", "zone": "UTC", "lat": 0, "lon": 0}
        | {"stage": "foundation"},
        "sources": [{"key": "lab", "adapter": "lab", "filters": ["livinglab/bench/+/up"]}],
        "profiles": [{"key": "p", "fields": fields}],
        "devices": [
            {"key": f"d{i}", "profile": "p", "source": "lab", "origin": "simulated"}
            for i in range(DEVICES)
        ],
    }


def messages() -> list[Message]:
    """Each device a message a minute; seq makes each its own."""
    start = datetime.now(UTC) - timedelta(days=2)
    made = []
    for i in range(MESSAGES):
        at = (start + timedelta(minutes=i // DEVICES)).isoformat()
        values = {"water_level": i % 90, "air_temperature": 20 + i % 10, "battery_voltage": 3.6}
        body = orjson.dumps({"time": at, "seq": i, "values": values})
        made.append(Message.by_content(f"livinglab/bench/d{i % DEVICES}/up", body))
    return made


def timed(what: str, readings: int, act: Callable[[], object]) -> Row:
    begun = time.perf_counter()
    act()
    return Row(what, readings, time.perf_counter() - begun)


def publish(broker: nats.Broker) -> None:
    """Everything, until the broker has acknowledged it."""
    stop = threading.Event()
    with publishing(Mqtt(url=broker.url), stop, lambda _counts: None, None) as publisher:
        for message in messages():
            publisher.send(message)
        if not publisher.drain(120):
            raise SystemExit("the broker did not acknowledge everything")


def broker_alone(broker: nats.Broker) -> None:
    """Publish to one subscriber that only counts and acknowledges."""
    received, done = [0], threading.Event()

    def count(*_: object) -> None:
        received[0] += 1
        if received[0] == MESSAGES:
            done.set()

    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="counter", clean_session=False)
    client.on_message = count
    place = Mqtt(url=broker.url)
    client.username_pw_set(place.username, place.password)
    client.connect(place.host, place.port)
    client.subscribe("livinglab/bench/+/up", 1)
    client.loop_start()
    publish(broker)
    if not done.wait(120):
        raise SystemExit(f"only {received[0]} of {MESSAGES} arrived")
    client.unsubscribe("livinglab/bench/+/up")
    client.disconnect()
    client.loop_stop()


def copy_alone(database: Database) -> None:
    """The same readings by binary COPY into a table of the same shape and index."""
    start = datetime.now(UTC)
    with connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE yardstick (LIKE reading)")
        cursor.execute("CREATE UNIQUE INDEX ON yardstick (datastream_id, time)")
        for first in range(0, MESSAGES * VALUES, 5000):
            with cursor.copy("COPY yardstick FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["timestamptz", "int4", "float8", "int2"])
                for i in range(first, first + 5000):
                    copy.write_row((start + timedelta(seconds=i // 150), i % 150, float(i), 1))
            connection.commit()


@contextmanager
def ingesting(database: Database, broker: nats.Broker) -> Iterator[None]:
    stop, port = threading.Event(), nats.free_port()
    worker = threading.Thread(
        target=ingest.run,
        args=(database, Mqtt(url=broker.url), Ingest(health_port=port), stop),
    )
    worker.start()
    time.sleep(2)
    yield
    stop.set()
    worker.join()


def full_path(database: Database, broker: nats.Broker) -> None:
    """Publish → broker → ingest → committed, all of it."""
    engine = sync_engine(database)
    publish(broker)
    while True:
        with engine.connect() as connection:
            if connection.scalar(text("SELECT count(*) FROM uplink")) == MESSAGES:
                break
        time.sleep(0.02)
    engine.dispose()


def roll_up(database: Database) -> None:
    engine = sync_engine(database)
    while runner.run_slice(engine, rollup.JOB):
        pass
    engine.dispose()


def measure(directory: Path) -> list[Row]:
    with postgres.running(directory / "pg") as url, nats.running(directory / "nats") as broker:
        database = Database(url=url)
        engine = sync_engine(database)
        migrate.upgrade(engine)
        with engine.begin() as connection:
            sites.apply(connection, parse(site()))
        engine.dispose()
        readings = MESSAGES * VALUES
        rows = [
            timed("COPY into a table with the same index", readings, lambda: copy_alone(database)),
            timed("broker alone: publish, receive, ack", readings, lambda: broker_alone(broker)),
        ]
        with ingesting(database, broker):
            rows.append(timed("publish → committed", readings, lambda: full_path(database, broker)))
        rows.append(timed("hourly roll-up of it", readings, lambda: roll_up(database)))
        return rows


def report(rows: list[Row]) -> str:
    out = io.StringIO()
    base = rows[1].rate
    out.write(f"| {'what':40} | readings/s | ratio to the broker alone |\n|---|---|---|\n")
    for row in rows:
        out.write(f"| {row.what:40} | {row.rate:10,.0f} | {row.rate / base:25.2f} |\n")
    return out.getvalue()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        sys.stdout.write(report(measure(Path(name))))
