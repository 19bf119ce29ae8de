"""Ingest: gather messages, prepare, write, acknowledge. One thread, one batch at a time."""

import gc
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import psycopg
import structlog

from services.ingest import adapters, pipeline, task_runner, violations
from services.ingest.broker import Broker
from services.ingest.inlet import Inlet
from services.ingest.pipeline import Prepared
from services.ingest.store import Store
from services.ingest.uplink import Adapter, Message
from shared import telemetry
from shared.registry import discover
from shared.settings import Database, Ingest, Mqtt

log = structlog.get_logger()
# Each message is some thirty objects that end with it: Python's usual 700 has them looked through
# again and again for rings that are not there, in a third of all time.
_GARBAGE: Final = 50_000
BATCH_BYTES: Final = 32 * 2**20  # PostgreSQL takes no parameter of 1 GB


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
    gc.set_threshold(_GARBAGE)
    store = Store(database)
    inlet: Inlet = Broker(mqtt)
    health = telemetry.serve_health(
        settings.health_port,
        lambda: {
            "ok": inlet.alive and inlet.subscribed and store.healthy,
            "broker_connected": inlet.alive and inlet.subscribed,
            "database": store.healthy,
            "waiting": inlet.inbox.qsize(),
        },
    )
    try:
        inlet.start()
        inlet.subscribe(store.fleet.filters)
        inlet.require_subscribed()
        if broker_log:
            violations.follow(broker_log, mqtt.monitor_url, stop)
        task_runner.start(database, stop)
        _loop(store, inlet, settings, stop)
    finally:
        inlet.stop()
        store.close()
        if health:
            health.shutdown()


def _loop(store: Store, inlet: Inlet, settings: Ingest, stop: threading.Event) -> None:
    sources = known_adapters()
    while not stop.is_set():
        if not inlet.alive:
            raise RuntimeError("the MQTT network thread has died: see the log above")
        messages = _gather(inlet.inbox, settings)
        try:
            if store.refresh():
                inlet.subscribe(store.fleet.filters)
            if messages:
                _commit(store, sources, messages)
        except psycopg.Error:
            log.exception("batch_not_committed", messages=len(messages))
            _retry(store, sources, messages, stop)
            inlet.subscribe(store.fleet.filters)  # a NOTIFY may have been missed
        if not stop.is_set():
            inlet.ack(messages)


def _gather(inbox: "queue.SimpleQueue[Message]", settings: Ingest) -> list[Message]:
    """Up to a full batch, waiting for no more than batch_ms after its first message."""
    try:
        messages = [inbox.get(timeout=0.2)]
    except queue.Empty:
        return []
    deadline = time.monotonic() + settings.batch_ms / 1000
    size = len(messages[0].payload)
    while len(messages) < settings.batch_size and size < BATCH_BYTES:
        try:
            messages.append(inbox.get(timeout=max(0.0, deadline - time.monotonic())))
            size += len(messages[-1].payload)
        except queue.Empty:
            break
    return messages


def _retry(
    store: Store,
    sources: Mapping[str, Adapter],
    messages: Sequence[Message],
    stop: threading.Event,
) -> None:
    """Until it is committed or we are stopped: an uncommitted batch is never acknowledged."""
    while not stop.is_set():
        store.reconnect(stop)
        try:
            if messages and not stop.is_set():
                _commit(store, sources, messages)
            return
        except psycopg.Error:
            log.exception("batch_not_committed", messages=len(messages))


def _commit(store: Store, sources: Mapping[str, Adapter], messages: Sequence[Message]) -> None:
    batch = _prepare(store, sources, messages)
    with telemetry.BATCH_SECONDS.time():
        written = store.write(batch)
    telemetry.BATCH_MESSAGES.observe(len(batch))
    for outcome, count in written._asdict().items():
        telemetry.MESSAGES.labels(outcome).inc(count)


def _prepare(
    store: Store, sources: Mapping[str, Adapter], messages: Sequence[Message]
) -> list[Prepared]:
    """Prepare all; those that met a gap in the registry once more, after it was filled."""
    batch = [pipeline.prepare(message, store.fleet, sources) for message in messages]
    if _fill_gaps(store, batch):
        return [
            pipeline.prepare(p.message, store.fleet, sources) if _met_gap(p) else p for p in batch
        ]
    return batch


def _met_gap(prepared: Prepared) -> bool:
    return bool(prepared.missing) or (
        prepared.refused is not None
        and prepared.refused.reason in ("unknown_device", "unknown_source")
    )


def _fill_gaps(store: Store, batch: Sequence[Prepared]) -> bool:
    """Datastreams that devices without a profile begin; devices applied a moment ago."""
    missing: dict[int, set[str]] = {}
    for prepared in batch:
        if prepared.device and prepared.missing:
            missing.setdefault(prepared.device.id, set()).update(prepared.missing)
    for device_id, names in missing.items():
        store.add_datastreams(device_id, sorted(names))
    if missing:
        return True
    return any(_met_gap(prepared) for prepared in batch) and store.reload_for_unknown()
