"""A process's own folder in the spool, held by a lock for as long as the process lives."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from services.ingest.spool.journal import Journal
from services.ingest.uplink import Message

_LOCK = "lock"


class Home:
    """Two journals. What citizens wrote lies apart from the common one, to be gone with its commit:
    a damaged segment of it is not set aside."""

    def __init__(self, folder: Path, lock: int) -> None:
        """Raises OSError."""
        self.folder = folder
        self._lock = lock
        self.common = Journal(folder / "common")
        self.personal = Journal(folder / "personal")

    @property
    def journals(self) -> tuple[Journal, ...]:
        """Personal text first: it is to stay here the shortest."""
        return self.personal, self.common

    def append(self, messages: list[Message], is_personal: Callable[[str], bool]) -> None:
        """Durable when it returns; raises OSError."""
        apart = [message for message in messages if is_personal(message.topic)]
        others = [message for message in messages if not is_personal(message.topic)]
        for journal, part in ((self.personal, apart), (self.common, others)):
            if part:
                journal.append(part)

    def leave(self, *, remove: bool = False) -> None:
        """Let another process have it; remove: nothing is in it, so it may go."""
        for journal in self.journals:
            journal.roll()
            if remove:
                journal.leave()
        with suppress(OSError):
            if remove and {each.name for each in self.folder.iterdir()} == {_LOCK}:
                (self.folder / _LOCK).unlink()  # while it is still held
                self.folder.rmdir()
        os.close(self._lock)


def own(directory: Path) -> list[Home]:
    """Every folder whose process is gone, or a new one: the first is where this process writes.

    Raises OSError.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    homes = [*orphans(directory, set())]
    while not homes:
        folder = directory / token_hex(4)
        folder.mkdir(mode=0o700)
        homes = [home for home in [_taken(folder)] if home]  # somebody may adopt it at once
    return homes


def orphans(directory: Path, held: set[Path]) -> Iterator[Home]:
    """Folders whose process is gone, apart from those we hold ourselves. Raises OSError."""
    for folder in sorted(directory.iterdir()):
        if folder.is_dir() and folder not in held and (home := _taken(folder)):
            yield home


def _taken(folder: Path) -> Home | None:
    """The folder with its lock, or None: it is somebody's, or was removed a moment ago."""
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_ino == (folder / _LOCK).stat().st_ino:
            return Home(folder, lock)
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    return None
