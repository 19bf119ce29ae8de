"""Follows the broker's log and counts what it refused, for Prometheus."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, Final

from shared import telemetry
from shared.broker_log import BrokerLog, Violation
from shared.broker_monitor import MonitorUnreachable, user_of

EVERY_S: Final = 0.5
_LOOK_BACK: Final = 16 * 2**20  # read at the start for who is connected, not counted
_NAMES_MOST: Final = 1000  # strangers choose what they call themselves: no series for each of them
_OURS: Final = re.compile(r"lab|[a-z0-9][a-z0-9_-]*\.[a-z0-9][a-z0-9_-]*")


def follow(file: Path, monitor_url: str | None, stop: threading.Event) -> threading.Thread:
    """Count in a thread of its own until `stop` is set; what stands there already is not counted.

    monitor_url: NATS's log numbers connections, its monitoring names their users.
    """
    thread = threading.Thread(
        target=_follow, args=(file, monitor_url, stop), name="violations", daemon=True
    )
    thread.start()
    return thread


def _follow(file: Path, monitor_url: str | None, stop: threading.Event) -> None:
    names: set[str] = set()
    users = Users(monitor_url)
    for violation in _violations(file, stop):
        user = _label(violation.user or users.of(violation), names)
        telemetry.VIOLATIONS.labels(user, violation.kind).inc()


def _violations(file: Path, stop: threading.Event) -> Iterator[Violation]:
    """What is written from now on, through rotation and while there is no file."""
    reader, tail = BrokerLog(), Tail(file)
    with closing(tail):
        for line in tail.before():
            reader.read(line)
        while not stop.wait(EVERY_S):
            for line in tail.lines():
                yield from reader.read(line)


class Users:
    """Who NATS's numbered connections belong to: asked once each, for they may refuse much."""

    def __init__(self, monitor_url: str | None) -> None:
        self._monitor_url = monitor_url
        self._known: dict[tuple[int, str], str | None] = {}

    def of(self, violation: Violation) -> str | None:
        if not (self._monitor_url and violation.connection):
            return None
        key = (violation.run, violation.connection)
        if key not in self._known:
            if len(self._known) >= _NAMES_MOST:
                self._known.clear()
            try:
                self._known[key] = user_of(self._monitor_url, violation.connection)
            except MonitorUnreachable:
                return None
        return self._known[key]


def _label(user: str | None, names: set[str]) -> str:
    if user is None or not _OURS.fullmatch(user):
        return "unknown"
    if user not in names and len(names) >= _NAMES_MOST:
        return "other"
    names.add(user)
    return user


class Tail:
    """The whole lines a growing file has gained; begins again when it is replaced or cut."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._open: BinaryIO | None = None
        self._begun = b""

    def before(self) -> Iterator[str]:
        """The end of what is there already."""
        self._reopen()
        if self._open:
            size = self._file.stat().st_size
            self._open.seek(max(0, size - _LOOK_BACK))
            yield from self._whole()

    def lines(self) -> Iterator[str]:
        """What has come since."""
        if self._open:
            yield from self._whole()
        if self._replaced():
            self._reopen()
            if self._open:
                yield from self._whole()

    def _whole(self) -> Iterator[str]:
        assert self._open
        while line := self._open.readline():
            self._begun += line
            if self._begun.endswith(b"\n"):
                whole, self._begun = self._begun, b""
                yield whole.decode(errors="replace")

    def _replaced(self) -> bool:
        try:
            there = self._file.stat()
        except OSError:
            return False  # being rotated: wait for the new one
        if self._open is None:
            return True
        opened = os.fstat(self._open.fileno())
        return opened.st_ino != there.st_ino or there.st_size < self._open.tell()

    def close(self) -> None:
        if self._open:
            self._open.close()
            self._open = None

    def _reopen(self) -> None:
        self.close()
        self._begun = b""
        try:
            self._open = self._file.open("rb")
        except OSError:
            self._open = None
