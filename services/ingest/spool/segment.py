"""Segments: files that are written once, in order, and removed when all of them is committed."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes
from typing import Final

from services.ingest.spool.record import SALT_BYTES, Damage, encode, scan
from services.ingest.uplink import Message

MAGIC: Final = b"livinglab spool 1\n"
SUFFIX: Final = ".spool"
SET_ASIDE: Final = ".damaged"
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND


@dataclass(frozen=True, slots=True)
class Closed:
    """A segment nobody writes any more."""

    path: Path
    size: int
    messages: int

    def read(self) -> Iterator[Message | Damage]:
        """What is in it, read at once: a segment is small. Raises OSError."""
        return _read(self.path)


def found(folder: Path) -> list[Closed]:
    """What an earlier process left in a folder, the oldest first. Raises OSError."""
    return [
        Closed(path, path.stat().st_size, sum(isinstance(each, Message) for each in _read(path)))
        for path in sorted(folder.glob(f"*{SUFFIX}"))
    ]


def _read(path: Path) -> Iterator[Message | Damage]:
    """The salt stands in the name: a damaged block in the file costs only what was in it."""
    salt = bytes.fromhex(path.name.split(".")[1])
    data = path.read_bytes()
    if data.startswith(MAGIC):
        data = data[len(MAGIC) :]
    return scan(data, salt)


class Open:
    """The segment that is being written. Names sort by the time of their beginning."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError."""
        self._salt = token_bytes(SALT_BYTES)
        self.path = folder / f"{time.time_ns():020d}.{self._salt.hex()}{SUFFIX}"
        self._file = os.open(self.path, _WRITE, 0o600)
        self.size = self.messages = 0
        self.broken = False
        try:
            self._write(MAGIC, 0)
            sync_folder(folder)  # or a power cut takes the file with its name
        except OSError:
            os.close(self._file)
            self.path.unlink(missing_ok=True)
            raise

    def encoded(self, messages: Iterable[Message]) -> list[bytes]:
        """Messages as records of this segment."""
        return [encode(message, self._salt) for message in messages]

    def append(self, records: list[bytes]) -> None:
        """Write records and bring them to the disk, all or none of them. Raises OSError."""
        self._write(b"".join(records), len(records))

    def _write(self, data: bytes, messages: int) -> None:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError:
            self._undo()
            raise
        self.size += len(data)
        self.messages += messages

    def _undo(self) -> None:
        """Cut what was begun. Where that fails, and after a failed fsync nobody knows what the disk
        has, nothing more is written behind it: reading tells a torn record from a whole one."""
        self.broken = True
        with suppress(OSError):
            os.ftruncate(self._file, self.size)

    def close(self) -> Closed | None:
        """Write no more to it; None: there was nothing in it, and it is gone."""
        os.close(self._file)
        if self.messages:
            return Closed(self.path, self.size, self.messages)
        self.path.unlink(missing_ok=True)
        return None


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
