"""A folder of segments: appended to at its end, taken from its beginning."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from services.ingest.spool.segment import SET_ASIDE, Closed, Open, found
from services.ingest.uplink import Message

SEGMENT_BYTES: Final = 8 * 2**20  # what is committed makes room again in steps of this


class Journal:
    """Not for two threads at once: the spool holds a lock."""

    def __init__(self, folder: Path) -> None:
        """Take up what is there. Raises OSError."""
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._open: Open | None = None
        self.closed = found(folder)
        self.set_aside = sum(path.stat().st_size for path in folder.glob(f"*{SET_ASIDE}"))

    @property
    def size(self) -> int:
        """Bytes on disk, with what was set aside."""
        written = self._open.size if self._open else 0
        return written + sum(each.size for each in self.closed) + self.set_aside

    @property
    def messages(self) -> int:
        """Messages that wait to be committed."""
        written = self._open.messages if self._open else 0
        return written + sum(each.messages for each in self.closed)

    def append(self, messages: Sequence[Message]) -> None:
        """Durable when it returns. Raises OSError, and then nothing of it counts as written."""
        if self._open is None:
            self._open = Open(self._folder)
        try:
            self._open.append(self._open.encoded(messages))
        finally:
            if self._open.broken or self._open.size >= SEGMENT_BYTES:
                self.roll()

    def roll(self) -> None:
        """Close what is being written, so that it can be taken."""
        closed = self._open.close() if self._open else None
        self._open = None
        if closed:
            self.closed.append(closed)

    def remove(self, segment: Closed, *, keep: bool) -> None:
        """All that can be read of it is committed; keep: bytes that could not be are set aside.
        Raises OSError."""
        if keep:
            segment.path.rename(segment.path.with_suffix(SET_ASIDE))
            self.set_aside += segment.size
        else:
            segment.path.unlink(missing_ok=True)
        self.closed.remove(segment)

    def leave(self) -> None:
        """Remove the folder if nothing is in it."""
        with suppress(OSError):
            os.rmdir(self._folder)
