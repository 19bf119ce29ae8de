"""Batches made durable: committed, or else, where there is a spool, on its disk."""

import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import psycopg
import structlog

from services.ingest import batch
from services.ingest.block import Block
from services.ingest.parts import Parts
from services.ingest.spool.spool import SpoolFull
from services.ingest.uplink import Message

log = structlog.get_logger()
AGAIN_S: Final = 0.2


class Keeper:
    """The live path. Without a spool a batch is tried again until the database takes it.

    One thread prepares while another keeps what was prepared before.
    """

    def __init__(self, opened: Parts, stop: threading.Event) -> None:
        self._store = opened.store
        self._adapters = opened.adapters
        self._stop = stop
        self._spool = opened.backlog[0] if opened.backlog else None
        self._drain = opened.backlog[1] if opened.backlog else None
        self._renewed = threading.Event()
        self.holds_since: datetime | None = None  # arrival of the oldest message not yet durable

    def prepared(self, messages: Sequence[Message]) -> Block | None:
        """Ready to be kept; None when the database cannot be asked for what they need."""
        if not self._store.healthy:
            return None
        try:
            return batch.prepare(self._store, self._adapters, messages)
        except psycopg.Error as error:
            self._lost(error, messages=len(messages))
            return None

    def keep(self, messages: Sequence[Message], ready: Block | None) -> bool:
        """Whether they are durable; returns False only when stopped, or for nothing to keep."""
        if messages:
            self.holds_since = messages[0].received_at
        try:
            while not self._stop.is_set():
                if self._committed(messages, ready):
                    return bool(messages)
                if not messages:
                    return False
                if self._spooled(messages):
                    return True
                ready = None  # the registry may be another one by then
                self._stop.wait(AGAIN_S)
            return False
        finally:
            self.holds_since = None

    @property
    def filters(self) -> list[str]:
        """What is to be received."""
        return self._store.fleet.filters

    def registry_changed(self) -> bool:
        """Whether somebody applied a site, or may have while the database was away."""
        if renewed := self._renewed.is_set():
            self._renewed.clear()
        if not self._store.healthy:
            return renewed
        try:
            return self._store.refresh() or renewed
        except psycopg.Error as error:
            self._lost(error)
            return renewed

    def _committed(self, messages: Sequence[Message], ready: Block | None) -> bool:
        if not self._store.healthy and not self._back():
            return False
        try:
            if messages:
                ready = ready or batch.prepare(self._store, self._adapters, messages)
                batch.commit(self._store, ready)
        except psycopg.Error as error:
            self._lost(error, messages=len(messages))
            return False
        return True

    def _spooled(self, messages: Sequence[Message]) -> bool:
        if self._spool is None:
            return False
        try:
            self._spool.append(messages)
        except SpoolFull:
            return False  # told in log, metric and health; tried again
        return True

    def _lost(self, error: psycopg.Error, **told: object) -> None:
        known = isinstance(error, psycopg.OperationalError)  # any other is a fault of ours
        log.error("database_lost", error=str(error), **told, exc_info=None if known else error)
        self._store.healthy = False
        if self._drain:
            self._drain.answers.clear()

    def _back(self) -> bool:
        """With a spool the drain finds out when the database answers: nothing here waits for it."""
        if self._drain and not self._drain.answers.is_set():
            return False
        if not self._store.reconnect():
            return False
        self._renewed.set()
        return True
