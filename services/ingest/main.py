"""Ingest: gather messages and prepare them; meanwhile make durable, and acknowledge, those before.

One batch is prepared and one committed at a time: the database works while Python does."""

import gc
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import structlog

from services.ingest import adapters, batch, parts, seen, task_runner, violations
from services.ingest.beside import running
from services.ingest.block import Block
from services.ingest.broker import Broker
from services.ingest.inlet import Inlet
from services.ingest.jetstream import JetStream
from services.ingest.keeper import Keeper
from services.ingest.parts import Parts
from services.ingest.uplink import Adapter, Message
from services.ingest.watch import Watch
from shared import telemetry
from shared.registry import discover
from shared.settings import Database, Ingest, Mqtt

log = structlog.get_logger()
# Each message is some thirty objects that end with it: Python's usual 700 has them looked through
# again and again for rings that are not there, in a third of all time.
_GARBAGE: Final = 50_000
# A thread that got its answer from database or broker would otherwise wait for 5 ms of Python.
_SWITCH_S: Final = 0.0005
INLETS: Final[Mapping[str, Callable[[Ingest, Mqtt], Inlet]]] = {
    "mqtt": lambda _, mqtt: Broker(mqtt),
    "jetstream": JetStream,
}


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
        inlet = INLETS[settings.source](settings, mqtt)
        unknown = settings.source == "mqtt" and mqtt.monitor_url is None
        if unknown and opened.backlog is None:
            log.warning(
                "broker_may_not_keep",
                advice="set LAB_INGEST_SPOOL, unless it keeps messages through a kill -9 of its own"
                " as NATS does (then LAB_MQTT_MONITOR_URL names its monitoring)",
            )
        if broker_log:
            violations.follow(broker_log, mqtt.monitor_url, stop)
        with ExitStack() as beside:
            beside.enter_context(
                running("tasks", task_runner.follow, database, task_runner.PAUSE_S)
            )
            if settings.health_port:
                beside.enter_context(
                    running("seen", lambda db, _: seen.tell(db), database, seen.EVERY_S)
                )
            serve(opened, inlet, settings, stop, mqtt.monitor_url)


def serve(
    opened: Parts,
    inlet: Inlet,
    settings: Ingest,
    stop: threading.Event,
    monitor_url: str | None = None,
) -> None:
    """Take messages from the inlet until `stop` is set. Raises OperatorError when it cannot."""
    gc.set_threshold(_GARBAGE)
    sys.setswitchinterval(_SWITCH_S)
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
    def keep(messages: Sequence[Message], ready: Block | None) -> None:
        if keeper.keep(messages, ready):
            inlet.ack(messages)

    with ThreadPoolExecutor(1, "commit") as committing:
        before = committing.submit(keep, [], None)
        try:
            while not stop.is_set():
                if not inlet.alive:
                    raise RuntimeError("the thread that receives has died: see the log above")
                messages = batch.gather(inlet.inbox, settings)
                if keeper.registry_changed():
                    inlet.subscribe(keeper.filters)
                ready = keeper.prepared(messages)
                before.result()
                before = committing.submit(keep, messages, ready)
            before.result()
        finally:
            stop.set()  # or what cannot be kept would be tried for ever
