"""Job `audit`: seals every second, and tells the head each day to those outside the database."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Connection, select

from services.analytics.audit.seal import BATCH, LOOK, ChainBroken, Head, anchor, head, seal
from services.analytics.audit.sign import Place
from services.analytics.runner import Job, Progress, Slice
from shared.db.tables import audit_anchor
from shared.settings import Audit

EVERY_S = 1.0

log = structlog.get_logger()


def job(settings: Audit) -> Job:
    """The job that seals; each process has a memory of its own."""
    sealer = Sealer(settings.keys, timedelta(hours=settings.head_hours))
    return Job("audit", sealer.work, calm=True, every_s=EVERY_S)


@dataclass(slots=True)
class Sealer:
    """What a process remembers of the chain. Only heads that were committed are told or kept."""

    keys: tuple[bytes, ...]
    every: timedelta
    known: Place | None = None
    told: datetime | None = None

    def work(
        self, connection: Connection, progress: Progress, now: datetime | None = None
    ) -> Slice:
        """One batch; raises ChainBroken when the chain is not where this process left it."""
        now = now or datetime.now(UTC)
        found = head(connection, self.keys, now)
        self._compare(found)
        if self.told is None or now >= self.told + self.every:
            self._tell(connection, found.place, now)
        _, count = seal(connection, found, self.keys, now)
        return Slice(progress, more=count == BATCH)

    def _compare(self, found: Head) -> None:
        known, place = self.known, found.place
        if known and (
            place.seq < known.seq or (place.seq == known.seq and place.hash != known.hash)
        ):
            raise ChainBroken(
                f"audit: the chain stood at {known.seq} {known.hash.hex()} and is at {place.seq}:"
                f" cut off, or put back; {LOOK} and restart analytics"
            )
        self.known = place

    def _tell(self, connection: Connection, place: Place, now: datetime) -> None:
        """A copy for outside the database, and a signed one inside, unless nothing has come."""
        self.told = now
        if not place.seq:
            return
        log.info(
            "audit_head", seq=place.seq, hash=place.hash.hex(), signed=place.signature is not None
        )
        same = select(audit_anchor.c.id).filter_by(seq=place.seq, signature=place.signature)
        if connection.scalar(same) is None:
            anchor(connection, place)
