"""What the database holds of a run, held against what the publisher was told."""

import re
import time
from collections import Counter
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Engine, text

from tests.chaos.load import VALUES, Load
from tests.chaos.stack import Stack


@dataclass(frozen=True, slots=True)
class Balance:
    """lost: confirmed to the publisher and in no table. duplicated: kept or counted twice.
    unbalanced: how far published is from stored + rejected + pending. wrong: what else is not as
    it was sent."""

    published: int
    lost: int
    duplicated: int
    unbalanced: int
    wrong: int

    @property
    def holds(self) -> bool:
        return not (self.lost or self.duplicated or self.unbalanced or self.wrong)


def settled(stack: Stack, engine: Engine, load: Load, patience_s: float) -> Balance:
    """Wait until everything confirmed is accounted for and nobody holds anything back."""
    deadline = time.monotonic() + patience_s
    while True:
        pending = stack.pending()
        found = _balance(engine, load, pending or 0)
        if found.holds and pending == 0:
            time.sleep(stack.broker.again_s)  # what it may still hold arrives by then
            if _balance(engine, load, 0) == found:
                return found
        elif time.monotonic() > deadline:
            return found if pending is not None else replace(found, unbalanced=found.published)
        time.sleep(0.3)


def _balance(engine: Engine, load: Load, pending: int) -> Balance:
    with engine.connect() as connection:
        stored, rejected = (marks(connection, load.site, sql) for sql in (STORED, REJECTED))
        rows = connection.execute(text(_LEDGER), {"site": load.site})
        counted: dict[str, int] = {row.kind: row.n for row in rows}
        readings = connection.scalar(text(_READINGS), {"site": load.site}) or 0
    kept = stored | rejected
    ledger_stored = counted.get("stored", 0)
    ledger_rejected = sum(n for kind, n in counted.items() if kind.startswith("rejected:"))
    # What arrived although the publisher never learned it is published all the same.
    published = len(load.acked | kept.keys())
    return Balance(
        published=published,
        lost=len(load.acked - kept.keys()),
        duplicated=(kept.total() - len(kept)) + max(0, readings - len(VALUES) * len(stored)),
        unbalanced=abs(published - ledger_stored - ledger_rejected - pending),
        wrong=abs(readings - len(VALUES) * len(stored)) + len(load.usable & rejected.keys()),
    )


def marks(connection: Connection, site: str, sql: str) -> Counter[str]:
    """How often each message is kept, by what the publisher wrote into it."""
    mark = re.compile(rf"{re.escape(site)}-\d+-\d+".encode())
    found: Counter[str] = Counter()
    for (payload,) in connection.execute(text(sql), {"site": site}):
        told = mark.search(payload)
        found[told.group().decode() if told else "nobody's"] += 1
    return found


_OF_SITE = """
    source_id = (
        SELECT source.id FROM source JOIN site ON site.id = site_id WHERE site.key = :site
    )
"""
STORED = f"SELECT payload FROM uplink WHERE {_OF_SITE}"
REJECTED = f"SELECT payload FROM rejected WHERE scope = 'message' AND {_OF_SITE}"
_LEDGER = f"SELECT kind, sum(n)::bigint AS n FROM ledger WHERE {_OF_SITE} GROUP BY kind"
_READINGS = """
    SELECT count(*) FROM reading JOIN datastream ON datastream.id = datastream_id
    JOIN device ON device.id = datastream.device_id JOIN site ON site.id = device.site_id
    WHERE site.key = :site
"""
