"""Walking the chain: each hash is made again, until one does not fit."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

from services.analytics.audit.chain import Link, sealed

Kind = Literal["changed", "removed", "inserted", "cut_off", "anchor"]
LATE: Final = timedelta(hours=1)  # longer than any transaction should last


@dataclass(frozen=True, slots=True)
class Break:
    """Where the chain does not hold. anchor: a head or anchor is not what we signed."""

    kind: Kind
    seq: int | None
    row_id: int | None
    at: str | None  # of the row, else of what tells of it
    what: str


@dataclass(frozen=True, slots=True)
class Check:
    """The chain must pass through `hash`; seq None: anywhere."""

    seq: int | None
    hash: bytes
    name: str


@dataclass(slots=True)
class Walk:
    """Where a walk stands, and what it still has to pass through."""

    seq: int
    hash: bytes | None  # None: unknown, the first seal is taken as it is
    checks: dict[int, list[Check]] = field(default_factory=dict)
    anywhere: dict[bytes, Check] = field(default_factory=dict)
    rows: int = 0
    late: int = 0
    late_row: int | None = None
    vouched: int = 0
    _newest: bytes = b""
    _row_id: int | None = None
    _before: bytes = b""

    def follow(self, links: Iterator[Link]) -> Break | None:
        """Walk to the end, or to the first place that does not fit."""
        if self.hash is not None and (broken := self._checked(None)):
            return broken
        for link in links:
            if link.seq != self.seq + 1:
                what = f"the seals of {self.seq + 1} to {link.seq - 1} are gone"
                return Break("removed", self.seq + 1, None, None, what)
            if self.hash is None:
                self.hash = link.hash
            elif link.row is None or sealed(self.hash, link.row) != link.hash:
                return self._misfit(link, next(links, None))
            self._before, self.hash = self.hash, link.hash
            self.seq, self._row_id = link.seq, link.row_id
            self.rows += 1
            at = link.row.split(b",", 2)[1] if link.row else b""
            if at >= self._newest:
                self._newest = at
            else:
                self._out_of_order(link)
            if link.seq in self.checks or self.anywhere:
                broken = self._checked(link.at)
                if broken:
                    return broken
        return None

    def _checked(self, at: str | None) -> Break | None:
        """Hold what stands here against what it should be."""
        if self.hash in self.anywhere:
            del self.anywhere[self.hash]
        for check in self.checks.pop(self.seq, ()):
            if check.hash != self.hash:
                what = (
                    f"rows after {self.vouched} were written anew with their seals:"
                    f" {check.name} says {check.hash.hex()} at {self.seq}"
                )
                return Break("changed", self.seq, self._row_id, at, what)
            self.vouched = self.seq
        return None

    def _misfit(self, link: Link, following: Link | None) -> Break:
        """What happened at a seal that does not follow from the one before it."""
        assert self.hash is not None
        if link.row is None:
            return Break("removed", link.seq, link.row_id, None, "the row is gone, its seal is not")
        if following and following.row and sealed(self.hash, following.row) == following.hash:
            what = "the row after it follows from the row before it"
            return Break("inserted", link.seq, link.row_id, link.at, what)
        if self._before and sealed(self._before, link.row) == link.hash:
            what = f"row {link.row_id} follows from the row before it"
            return Break("inserted", self.seq, self._row_id, None, what)
        what = "the row, or its place, is not what was sealed"
        return Break("changed", link.seq, link.row_id, link.at, what)

    def _out_of_order(self, link: Link) -> None:
        """A row much older than one sealed before it: a very long transaction, or back-dated."""
        try:
            newest = datetime.fromisoformat(self._newest.decode().strip('"'))
            age = newest - datetime.fromisoformat(link.at or "")
        except ValueError:  # infinity, or years before Christ
            age = LATE * 2
        if age > LATE:
            self.late += 1
            self.late_row = self.late_row or link.row_id
