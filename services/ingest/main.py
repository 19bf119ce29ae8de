"""Ingest: gather messages, prepare, make durable, acknowledge. One thread, one batch at a time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from services.ingest import adapters, batch, violations
from services.ingest.broker import Broker
from services.ingest.inlet import Inlet
from services.ingest.keeper import Keeper
from services.ingest.spool.drain import Drain
from services.ingest.spool.spool import Spool
from services.ingest.store import Store
from services.ingest.uplink import Adapter
from services.ingest.watch import Watch
from shared import telemetry
from shared.db import migrate
from shared.db.engine import sync_engine
from shared.db.session import INGEST, INGEST_BACKLOG
from shared.registry import discover
from shared.settings import Database, Ingest, Mqtt

log = structlog.get_logger()
Backlog = tuple[Spool, Drain]


def known_adapters() -> dict[str, Adapter]:
    """Every message source this release can read, by name."""
    return discover(adapters, Adapter)


def run(
    database: Database,
    mqtt: Mqtt,
    settings: Ingest,
    stop: threading.Event,
    broker_log: Path | None = None,
) -> None:
    """Run until `stop` is set. Raises OperatorError when database or broker cannot be used."""
    _require_schema(database)
    store = Store(database, deadline_s=settings.deadline_s)
    inlet: Inlet = Broker(mqtt)
    with _spooling(database, settings, store) as backlog:
        keeper = Keeper(store, known_adapters(), stop, backlog)
        watch = Watch(inlet, store, keeper, backlog, mqtt.monitor_url)
        watch.expose()
        health = telemetry.serve_health(settings.health_port, watch.state)
        try:
            inlet.start()
            inlet.subscribe(store.fleet.filters)
            inlet.require_subscribed()
            if broker_log:
                violations.follow(broker_log, mqtt.monitor_url, stop)
            _loop(keeper, store, inlet, settings, stop)
        finally:
            inlet.stop()
            store.close()
            if health:
                health.shutdown()


def _require_schema(database: Database) -> None:
    engine = sync_engine(database, INGEST)
    migrate.ready(engine, database)
    engine.dispose()


@contextmanager
def _spooling(database: Database, settings: Ingest, store: Store) -> Iterator[Backlog | None]:
    """The spool and its drain, where there is to be one; what is in it stays for the next start."""
    if settings.spool is None:
        yield None
        return
    sources = known_adapters()

    def is_personal(topic: str) -> bool:
        return any(each.is_personal(topic) for each in sources.values())

    def arrive() -> Store:
        return Store(database, deadline_s=settings.deadline_s, session=INGEST_BACKLOG)

    spool = Spool(settings.spool, settings.spool_bytes, is_personal)
    drain = Drain(spool, arrive, sources, live=lambda: store.healthy)
    drain.start()
    try:
        yield spool, drain
    finally:
        drain.stop()
        spool.close()


def _loop(
    keeper: Keeper, store: Store, inlet: Inlet, settings: Ingest, stop: threading.Event
) -> None:
    while not stop.is_set():
        if not inlet.alive:
            raise RuntimeError("the MQTT network thread has died: see the log above")
        messages = batch.gather(inlet.inbox, settings)
        if keeper.registry_changed():
            inlet.subscribe(store.fleet.filters)
        if keeper.keep(messages):
            inlet.ack(messages)
