"""The demo's books: published = stored + rejected + pending, and what came of it."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import orjson
from sqlalchemy import Connection, text

from services.cli import found
from services.cli.parts import Addresses
from shared.broker_monitor import MonitorUnreachable, pending
from shared.db import ledger
from shared.db.engine import sync_engine
from shared.embedded.child import Child
from shared.settings import Database
from simulators import truth
from simulators.scenario import Planted

DRAIN_S: Final = 180.0


class Published(NamedTuple):
    """What the simulator last said of itself; its count is made outside the product."""

    published: int = 0
    repeats: int = 0
    backfill_done: bool = False


class Status:
    """A live status line: one query and one request a second."""

    def __init__(self, database: Database, where: Addresses, simulator: Child) -> None:
        self._engine = sync_engine(database)
        self._where = where
        self._simulator = simulator
        self._last = (time.monotonic(), 0)
        self.past_published = False

    def line(self) -> str:
        said = published(self._simulator)
        self.past_published = said.backfill_done
        with self._engine.connect() as connection:
            totals = ledger.totals(connection)
        waiting = _pending(self._where)
        now, before = time.monotonic(), self._last
        rate = (totals.stored - before[1]) / max(now - before[0], 1e-3)
        self._last = (now, totals.stored)
        phase = "live" if said.backfill_done else "publishing the past"
        return (
            f"{phase}: published {said.published}, stored {totals.stored} ({rate:.0f}/s),"
            f" rejected {totals.rejected}, pending {'?' if waiting is None else waiting},"
            f" repeats {totals.repeats}"
        )

    def close(self) -> None:
        self._engine.dispose()


def published(simulator: Child) -> Published:
    """The last complete progress line of the simulator."""
    with simulator.log.open("rb") as log:
        log.seek(max(0, simulator.log.stat().st_size - 4000))
        lines = log.read().splitlines()
    for line in reversed(lines):
        if line.startswith(b'{"published"') and line.endswith(b"}"):
            return Published(**orjson.loads(line))
    return Published()


def settle(
    database: Database,
    where: Addresses,
    simulator: Child,
    planted: Sequence[Planted],
    now: datetime,
) -> tuple[dict[str, int], list[str]]:
    """Wait for broker and analytics to catch up; returns the counts, and what is out of balance.

    planted: the truth of what was published until `now`.
    """
    engine = sync_engine(database)
    deadline = time.monotonic() + DRAIN_S
    while True:
        said = published(simulator)
        waiting = _pending(where) or 0
        with engine.connect() as connection:
            totals = ledger.totals(connection)
            behind = bool(connection.scalar(_BEHIND))
            verdict = truth.judge(planted, found.told(connection), now)
            counts = _counts(connection, said, totals, waiting, verdict)
        balanced = said.published == totals.stored + totals.rejected + waiting
        as_planted = not verdict.missing and not verdict.excess
        settled = balanced and not waiting and not behind and as_planted
        if settled or time.monotonic() > deadline:
            engine.dispose()
            return counts, _faults(counts, said, verdict, behind=behind)
        time.sleep(0.5)


def _counts(
    connection: Connection,
    said: Published,
    totals: ledger.Totals,
    waiting: int,
    verdict: truth.Verdict,
) -> dict[str, int]:
    return {
        "published": said.published,
        "stored": totals.stored,
        "rejected": totals.rejected,
        "pending": waiting,
        "repeats": totals.repeats,
        **connection.execute(_OUTCOME).one()._asdict(),
        "planted": len(verdict.due),
        "planted_found": len(verdict.due) - len(verdict.missing),
        "unplanted": len(verdict.unplanted),
    }


def _faults(
    counts: dict[str, int], said: Published, verdict: truth.Verdict, *, behind: bool
) -> list[str]:
    stored = counts["stored"] + counts["rejected"] + counts["pending"]
    checks = (
        (counts["published"] == stored, f"published {counts['published']} but found {stored}"),
        (counts["published"] > 0, "nothing was published: see logs/simulate.log"),
        (said.backfill_done, "the past was not published completely"),
        (not behind, f"analytics had not caught up after {DRAIN_S:.0f} s"),
    )
    return [
        *(fault for fine, fault in checks if not fine),
        *(
            f"not found: {row.what} of {row.site}/{row.device}, {row.start:%Y-%m-%d %H:%M} UTC"
            f" (a finding {row.finding!r} was due)"
            for row in verdict.missing
        ),
        *(
            f"found but not planted: {each.kind} ({each.severity}) of {each.site}/{each.device},"
            f" {each.start:%Y-%m-%d %H:%M} UTC; one a month and site is let pass"
            for each in verdict.excess
        ),
    ]


def _pending(where: Addresses) -> int | None:
    try:
        return pending(where.broker.monitor_url)
    except MonitorUnreachable:
        return None  # shown as unknown; the balance then waits for stored to say it all


# A follower that has only failed so far has no position yet; jobs that follow nothing never get
# one, and `alerts` keeps no progress at all.
_BEHIND: Final = text("""
    SELECT EXISTS (
        SELECT FROM job, LATERAL (
            SELECT xid::text::bigint AS xid, batch_id FROM change
            ORDER BY change.xid DESC, batch_id DESC LIMIT 1
        ) AS newest
        WHERE (progress ? 'xid' OR (progress = '{}' AND error IS NOT NULL))
          AND (coalesce((progress ->> 'xid')::bigint, 0),
               coalesce((progress ->> 'batch_id')::bigint, 0)) < (newest.xid, newest.batch_id)
    )
""")
_OUTCOME: Final = text("""
    SELECT (SELECT count(*) FROM reading) AS readings,
           (SELECT count(*) FROM finding WHERE withdrawn_at IS NULL) AS findings,
           (SELECT count(DISTINCT pilot_id) FROM device
             WHERE EXISTS (SELECT FROM datastream
                           WHERE datastream.device_id = device.id
                             AND EXISTS (SELECT FROM reading
                                         WHERE reading.datastream_id = datastream.id))) AS pilots
""")
