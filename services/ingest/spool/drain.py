"""The backlog, committed beside the live messages: a thread and connections of its own."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import psycopg
import structlog

from services.ingest import batch
from services.ingest.batch import Adapters
from services.ingest.spool.record import Damage
from services.ingest.spool.segment import Closed
from services.ingest.spool.spool import Spool
from services.ingest.store import Store
from services.ingest.uplink import Message
from shared import telemetry
from shared.db.engine import DatabaseUnreachable

log = structlog.get_logger()
MESSAGES: Final = 500  # what live messages may have to wait for is short
REST: Final = 0.5  # of the time a batch took: two thirds of a machine for the backlog at most
STOP_S: Final = 10.0
_PAUSES_S: Final = (0.5, 1.0, 2.0, 5.0)


class Drain:
    """Drains while the database answers, and is the one that tries whether it does again."""

    def __init__(
        self,
        spool: Spool,
        arrive: Callable[[], Store],
        adapters: Adapters,
        live: Callable[[], bool],
    ) -> None:
        """arrive: connect, with the patience of a backlog; live: whether the live path commits."""
        self.answers = threading.Event()  # the database has taken something, or would
        self._spool = spool
        self._arrive = arrive
        self._adapters = adapters
        self._live = live
        self._store: Store | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drain", daemon=True)

    def start(self) -> None:
        """Begin; what earlier processes left is the first."""
        self._thread.start()

    def stop(self) -> None:
        """End after the batch under way; the rest stays for the next start."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                self._turn()
                failures = 0
            except (psycopg.Error, DatabaseUnreachable, OSError) as error:
                failures += 1
                self.answers.clear()
                self._leave()
                log.warning("backlog_waits", error=str(error).splitlines()[0])
            except Exception:  # a fault of ours must not end the thread: the spool would fill
                failures += 1
                self._leave()
                log.exception("drain_failed")
            self._stop.wait(_PAUSES_S[min(failures, len(_PAUSES_S) - 1)])
        self._leave()

    def _turn(self) -> None:
        """All that waits, once; raises when the database is away."""
        self._spool.adopt()
        if not self._spool.messages and self._live():
            self._leave()
            return
        if self._store is None:
            self._store = self._arrive()
        for segment in self._spool.waiting():
            try:
                self._commit(self._store, segment)
            except psycopg.Error as error:
                if not self._store.usable:
                    raise
                # Locked, or something it cannot take: the segments behind it have their turn.
                log.warning("segment_waits", segment=segment.path.name, error=str(error))
            except Exception:  # a fault of ours: it stays in the spool, and the others go on
                log.exception("segment_failed", segment=segment.path.name)
            if self._stop.is_set():
                return
        if not self._spool.messages:
            self.answers.set()

    def _commit(self, store: Store, segment: Closed) -> None:
        store.refresh()
        damages: list[Damage] = []
        for messages in _batches(segment, damages):
            if self._stop.is_set():
                return
            begun = time.monotonic()
            batch.commit(store, batch.prepare(store, self._adapters, messages))
            self.answers.set()
            telemetry.DRAINED.inc(len(messages))
            self._stop.wait((time.monotonic() - begun) * REST)
        for damage in damages:
            _tell(segment, damage)
        self._spool.remove(segment, damaged=any(not each.torn for each in damages))

    def _leave(self) -> None:
        if self._store:
            with suppress(psycopg.Error):
                self._store.close()
        self._store = None


def _batches(segment: Closed, damages: list[Damage]) -> Iterator[list[Message]]:
    """Messages in batches bounded by number and bytes; what is no message goes to `damages`."""
    messages: list[Message] = []
    size = 0
    for each in segment.read():
        if isinstance(each, Damage):
            damages.append(each)
            continue
        messages.append(each)
        size += len(each.payload)
        if len(messages) >= MESSAGES or size >= batch.MOST_BYTES:
            yield messages
            messages, size = [], 0
    if messages:
        yield messages


def _tell(segment: Closed, damage: Damage) -> None:
    where = {"segment": segment.path.name, "offset": damage.offset, "bytes": damage.size}
    if damage.torn:  # never acknowledged: its sender still has it
        log.warning("spool_torn_tail", **where)
        return
    telemetry.SPOOL_DAMAGED.inc()
    log.error("spool_damaged", **where)
