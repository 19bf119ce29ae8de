"""A batch of messages: gathered, prepared, committed."""

import queue
import time
from collections.abc import Mapping, Sequence
from typing import Final

from services.ingest import pipeline
from services.ingest.block import Block
from services.ingest.pipeline import Prepared
from services.ingest.store import Store
from services.ingest.uplink import Adapter, Message
from shared import telemetry
from shared.settings import Ingest

MOST_BYTES: Final = 32 * 2**20  # PostgreSQL takes no parameter of 1 GB
Adapters = Mapping[str, Adapter]


def gather(inbox: "queue.SimpleQueue[Message]", settings: Ingest) -> list[Message]:
    """Up to a full batch, waiting for no more than batch_ms after its first message."""
    try:
        messages = [inbox.get(timeout=0.2)]
    except queue.Empty:
        return []
    deadline = time.monotonic() + settings.batch_ms / 1000
    size = len(messages[0].payload)
    while len(messages) < settings.batch_most and size < MOST_BYTES:
        try:
            messages.append(inbox.get(timeout=max(0.0, deadline - time.monotonic())))
            size += len(messages[-1].payload)
        except queue.Empty:
            break
    return messages


def commit(store: Store, batch: Block) -> None:
    """Write what is prepared; raises psycopg.Error, and then nothing of it is stored."""
    with telemetry.BATCH_SECONDS.time():
        written = store.write(batch)
    telemetry.BATCH_MESSAGES.observe(len(batch))
    for outcome, count in written._asdict().items():
        telemetry.MESSAGES.labels(outcome).inc(count)


def prepare(store: Store, adapters: Adapters, messages: Sequence[Message]) -> Block:
    """Prepare all; those that met a gap in the registry once more, after it was filled. Raises
    psycopg.Error."""
    batch = [pipeline.prepare(message, store.fleet, adapters) for message in messages]
    if _fill_gaps(store, batch):
        batch = [
            pipeline.prepare(p.message, store.fleet, adapters) if _met_gap(p) else p for p in batch
        ]
    return Block(batch).encoded()


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
