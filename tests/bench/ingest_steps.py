"""Where the time of ingest goes: µs per uplink of each named step, in this thread and waiting.

The functions themselves are wrapped, so nothing is measured that does not run in production. What a
step calls that is a step itself is not counted twice.
"""

import gc
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, Final

import psycopg

from services.ingest import (
    arrival,
    binary,
    block,
    chirpstack_up,
    device_event,
    feedback,
    frame_gaps,
    pipeline,
    rejects,
    writer,
)
from services.ingest import batch as batches
from services.ingest import main as ingest
from services.ingest.store import Store
from services.ingest.uplink import Message
from tests.bench.ingest_messages import uplink
from tests.bench.ingest_world import world

UPLINKS: Final = 20_000
BATCH: Final = 1000
EACH: Final[tuple[tuple[Any, str], ...]] = (  # once an uplink
    *((pipeline, "prepare"), (chirpstack_up, "read"), (pipeline, "map_uplink")),
    *((pipeline, "identity"), (block, "reject_id"), (block, "_uplink_row")),
)
BATCHED: Final[tuple[tuple[Any, str], ...]] = (  # once a batch
    *((Store, "write"), (block.Block, "encoded"), (binary, "Readings"), (arrival, "_cells")),
    *((arrival, "put_uplinks"), (arrival, "put_readings"), (writer, "_note_gateways")),
    *((writer, "_outcomes"), (writer, "_ledger_counts"), (rejects, "count")),
    *((rejects, "redeem"), (rejects, "insert"), (feedback, "insert"), (device_event, "insert")),
    *((frame_gaps, "count"), (psycopg.Transaction, "__exit__")),
)
Clocks = tuple[float, float, float]  # wall, CPU of this thread, CPU of the database's backend


class Meter:
    """Time of nested steps, each without what it calls."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = {}
        self.backend = Path()
        self._open: list[list[float]] = []

    def wrap(self, steps: tuple[tuple[Any, str], ...], clock: Callable[[], Clocks]) -> None:
        for owner, name in steps:
            label = f"{getattr(owner, '__name__', owner)}.{name}".replace("services.ingest.", "")
            setattr(owner, name, self._timed(label, getattr(owner, name), clock))

    def cheap(self) -> Clocks:
        return time.perf_counter(), time.thread_time(), 0.0

    def whole(self) -> Clocks:
        database = int(self.backend.read_text().split()[0]) / 1e9
        return time.perf_counter(), time.thread_time(), database

    def _timed(
        self, label: str, act: Callable[..., Any], clock: Callable[[], Clocks]
    ) -> Callable[..., Any]:
        spent = self.spent[label] = [0.0, 0.0, 0.0]

        @wraps(act)
        def timed(*args: Any, **named: Any) -> Any:
            self._open.append([0.0, 0.0, 0.0])
            before = clock()
            try:
                return act(*args, **named)
            finally:
                passed = [b - a for a, b in zip(before, clock(), strict=True)]
                inner = self._open.pop()
                for i in range(3):
                    spent[i] += passed[i] - inner[i]
                    if self._open:
                        self._open[-1][i] += passed[i]

        return timed


def main() -> None:
    """Batches of messages that are in memory already: what the broker costs is another matter."""
    gc.set_threshold(ingest._GARBAGE)
    meter = Meter()
    meter.wrap(EACH, meter.cheap)
    with world() as on:
        store, sources = Store(on.database), ingest.known_adapters()
        meter.backend = Path(f"/proc/{store._writing.info.backend_pid}/schedstat")
        meter.wrap(BATCHED, meter.whole)
        for first in range(0, UPLINKS, BATCH):
            now = datetime.now(UTC)
            arrived = [uplink(i) for i in range(first, first + BATCH)]
            messages = [Message(topic, body, now) for topic, body in arrived]
            store.write(batches.prepare(store, sources, messages))
        store.close()
    each = sorted(meter.spent.items(), key=lambda item: -sum(item[1][1:]))
    sys.stdout.write("| step, without its steps | µs per uplink | CPU | the database's CPU |\n")
    sys.stdout.write("|---|---|---|---|\n")
    for name, spent in [*each, ("in all", [sum(s[i] for _, s in each) for i in range(3)])]:
        wall, own, database = (s / UPLINKS * 1e6 for s in spent)
        sys.stdout.write(f"| {name} | {wall:.1f} | {own:.1f} | {database:.1f} |\n")


if __name__ == "__main__":
    main()
