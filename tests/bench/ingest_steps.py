"""Where the time of ingest goes: µs per uplink of each named step, in this thread and waiting.

The functions themselves are wrapped, so nothing is measured that does not run in production. What a
step calls that is a step itself is not counted twice.
"""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Final

from services.ingest import main as ingest
from services.ingest import mapping, pipeline, rejects, writer
from services.ingest.store import Store
from services.ingest.uplink import Message
from shared.db import change
from shared.db.engine import connect
from tests.bench import ingest_messages
from tests.bench.ingest_world import world

UPLINKS: Final = 20_000
BATCH: Final = 1000
STEPS: Final[tuple[tuple[Any, str], ...]] = (
    (ingest, "_prepare"),
    (pipeline, "map_uplink"),
    (pipeline, "identity"),
    (pipeline, "_reject_id"),
    (Store, "write"),
    (writer, "_stage"),
    (writer, "_insert_uplinks"),
    (writer, "_insert_readings"),
    (writer, "_find_conflicts"),
    (writer, "_note_gateways"),
    (writer, "_outcomes"),
    (writer, "_ledger_counts"),
    (writer, "_count"),
    (rejects, "redeem"),
)


class Meter:
    """Wall and CPU time of nested steps, each without what it calls."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = {}
        self._open: list[list[float]] = []

    def measure(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        self.spent[name] = [0.0, 0.0]

        @wraps(act)
        def timed(*args: Any, **named: Any) -> Any:
            wall, cpu = time.perf_counter(), time.thread_time()
            self._open.append([0.0, 0.0])
            try:
                return act(*args, **named)
            finally:
                inner = self._open.pop()
                passed = time.perf_counter() - wall, time.thread_time() - cpu
                for i in (0, 1):
                    self.spent[name][i] += passed[i] - inner[i]
                    if self._open:
                        self._open[-1][i] += passed[i]

        return timed
