"""The spool of one process: bounded, told in full, safe for the live path and the drain at once."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from services.ingest.spool import home
from services.ingest.spool.journal import Journal
from services.ingest.spool.segment import Closed
from services.ingest.uplink import Message
from shared import telemetry
from shared.errors import OperatorError

log = structlog.get_logger()
SOME_BYTES = 64  # of a record beside topic and payload, at most


class SpoolUnusable(OperatorError):
    """LAB_INGEST_SPOOL cannot be written to; the message says why."""


class SpoolFull(Exception):
    """Not durable: the bound is reached, or the disk takes no more. Nothing may be acknowledged."""


class Spool:
    """What is appended is on the disk when `append` returns; what is taken stays until removed."""

    def __init__(self, directory: Path, limit: int, is_personal: Callable[[str], bool]) -> None:
        self._directory = directory
        self._limit = limit
        self._is_personal = is_personal
        self._lock = threading.Lock()
        self.full: str | None = None  # why nothing more is taken
        try:
            self._homes = home.own(directory)
        except OSError as error:
            raise SpoolUnusable(
                f"LAB_INGEST_SPOOL: cannot use {directory}: {error.strerror}"
            ) from None
        if self.messages:
            log.info("spool_found", messages=self.messages, bytes=self.size)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(journal.size for journal in self._journals())

    @property
    def messages(self) -> int:
        """Messages that wait to be committed."""
        return sum(journal.messages for journal in self._journals())

    def append(self, messages: Sequence[Message]) -> None:
        """Bring messages to the disk; raises SpoolFull."""
        wanted = sum(len(m.topic) * 4 + len(m.payload) + SOME_BYTES for m in messages)
        with self._lock:
            if self.size + wanted > self._limit:
                raise self._refused(f"LAB_INGEST_SPOOL_BYTES: {self._limit} are reached")
            try:
                self._homes[0].append([*messages], self._is_personal)
            except OSError as error:
                raise self._refused(f"LAB_INGEST_SPOOL: {error.strerror}") from error
            self._accept()
        telemetry.SPOOLED.inc(len(messages))

    def waiting(self) -> list[Closed]:
        """Every segment in the order to commit them: personal ones first, then the oldest."""
        with self._lock:
            for journal in self._journals():
                journal.roll()
            kinds = zip(*(each.journals for each in self._homes), strict=True)
            return [
                segment
                for journals in kinds
                for segment in sorted(
                    (each for journal in journals for each in journal.closed),
                    key=lambda each: each.path.name,
                )
            ]

    def remove(self, segment: Closed, *, damaged: bool) -> None:
        """It is committed; a damaged one is set aside unless it holds what citizens wrote."""
        with self._lock:
            for each in self._homes:
                for journal in each.journals:
                    if segment in journal.closed:
                        journal.remove(segment, keep=damaged and journal is each.common)
            self._accept()

    def adopt(self) -> None:
        """Take what processes that are gone have left; give back what is empty. Raises OSError."""
        left = [*home.orphans(self._directory, {each.folder for each in self._homes})]
        with self._lock:
            self._homes += left
            for each in self._homes[1:]:
                if not any(journal.size for journal in each.journals):
                    self._homes.remove(each)
                    each.leave(remove=True)
        for each in left:
            if waiting := sum(journal.messages for journal in each.journals):
                log.info("spool_adopted", folder=each.folder.name, messages=waiting)

    def close(self) -> None:
        """What is in it stays for the next start."""
        with self._lock:
            for each in self._homes:
                each.leave()

    def _journals(self) -> list[Journal]:
        return [journal for each in self._homes for journal in each.journals]

    def _refused(self, why: str) -> SpoolFull:
        if self.full is None:
            log.error("spool_full", why=why, bytes=self.size, messages=self.messages)
        self.full = why
        return SpoolFull(why)

    def _accept(self) -> None:
        if self.full is not None:
            log.info("spool_takes_again", bytes=self.size)
        self.full = None
