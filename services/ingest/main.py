"""Ingest: gather messages, prepare, make durable, acknowledge. One thread, one batch at a time."""

import threading
from pathlib import Path

import structlog

from services.ingest import adapters, batch, parts, seen, violations
from services.ingest.broker import Broker
from services.ingest.inlet import Inlet
from services.ingest.keeper import Keeper
from services.ingest.parts import Parts
from services.ingest.uplink import Adapter
from services.ingest.watch import Watch
from shared import telemetry
from shared.registry import discover
from shared.settings import Database, Ingest, Mqtt

log = structlog.get_logger()


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
    with parts.opened(database, settings, known_adapters()) as opened:
        inlet = Broker(mqtt)
        if opened.backlog is None and mqtt.monitor_url is None:
            log.warning(
                "broker_may_not_keep",
                advice="set LAB_INGEST_SPOOL, unless it keeps messages through a kill -9 of its own"
                " as NATS does (then LAB_MQTT_MONITOR_URL names its monitoring)",
            )
        if broker_log:
            violations.follow(broker_log, mqtt.monitor_url, stop)
        if settings.health_port:
            seen.follow(database, stop)
        serve(opened, inlet, settings, stop, mqtt.monitor_url)


def serve(
    opened: Parts,
    inlet: Inlet,
    settings: Ingest,
    stop: threading.Event,
    monitor_url: str | None = None,
) -> None:
    """Take messages from the inlet until `stop` is set. Raises OperatorError when it cannot."""
    keeper = Keeper(opened, stop)
    watch = Watch(inlet, opened, keeper, monitor_url)
    watch.expose()
    health = telemetry.serve_health(settings.health_port, watch.state)
    try:
        inlet.start()
        inlet.subscribe(opened.store.fleet.filters)
        inlet.require_subscribed()
        _loop(keeper, inlet, settings, stop)
    finally:
        inlet.stop()
        if health:
            health.shutdown()


def _loop(keeper: Keeper, inlet: Inlet, settings: Ingest, stop: threading.Event) -> None:
    while not stop.is_set():
        if not inlet.alive:
            raise RuntimeError("the thread that receives messages has died: see the log above")
        messages = batch.gather(inlet.inbox, settings)
        if keeper.registry_changed():
            inlet.subscribe(keeper.filters)
        if keeper.keep(messages):
            inlet.ack(messages)
