"""Verifying the audit log: the whole chain, signed places, and heads that were kept elsewhere.

What can be told depends on what the attacker lacks: without LAB_AUDIT_KEY no other chain can be
signed, and a head outside the database tells of an older, signed one put back.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select, text

from services.analytics.audit.chain import ZERO, links
from services.analytics.audit.sign import Place, vouched
from services.analytics.audit.walk import Break, Check, Walk
from shared.db.tables import audit_anchor, audit_head

LAST: Final = 2**63
_FIRST: Final = text("SELECT min(seq) FROM audit_seal")
_UNSEALED: Final = text("""
    SELECT count(*), min(at) FROM audit AS row
    WHERE NOT EXISTS (SELECT FROM audit_seal WHERE audit_id = row.id)
""")
_PASSED_BY: Final = text("""
    SELECT row.id, row.at FROM audit AS row, audit_head
    WHERE (row.xid, row.id) <= (passed_xid, passed_id)
      AND NOT EXISTS (SELECT FROM audit_seal WHERE audit_id = row.id)
    ORDER BY row.id LIMIT 1
""")
_SAID: Final = re.compile(
    r"""\bseq["']?\s*[=:]\s*(\d+)|\bhash["']?\s*[=:]\s*["']?([0-9a-f]{64})\b"""
)


@dataclass(frozen=True, slots=True)
class Report:
    """What was found. broken: the first place that does not hold; None: all of it does.

    signatures: checked | none | not checked (no key here). late: rows more than an hour older
    than one sealed before them; late_row is the first.
    """

    broken: Break | None
    breaks: int
    rows: int
    seq: int
    hash: str | None
    unsealed: int
    unsealed_since: datetime | None
    late: int
    late_row: int | None
    anchors: int
    signatures: str


def verify(connection: Connection, keys: Sequence[bytes], outside: Iterable[Check] = ()) -> Report:
    """Walk all of the chain; `connection` should see one moment (REPEATABLE READ)."""
    places = _places(connection)
    breaks = list(_unsigned(places, keys)) if keys else []
    sound = [place for place in places if not keys or vouched(place, keys) or _allowed(place)]
    walk, broken = begin(connection, sound)
    expected = [Check(place.seq, place.hash, _named(place)) for place in sound]
    for check in (*expected, *outside):
        if check.seq is None:
            walk.anywhere[check.hash] = check
        elif check.seq >= walk.seq:
            walk.checks.setdefault(check.seq, []).append(check)
    found = [broken, walk.follow(links(connection))]
    if found[1] is None:
        found += [*_ends(walk), _beyond(walk, places)]
    breaks += [each for each in found if each] + list(_passed_by(connection))
    breaks.sort(key=lambda each: LAST if each.seq is None else each.seq)
    unsealed, since = connection.execute(_UNSEALED).one()
    return Report(
        broken=breaks[0] if breaks else None,
        breaks=len(breaks),
        rows=walk.rows,
        seq=walk.seq,
        hash=walk.hash.hex() if walk.hash else None,
        unsealed=unsealed,
        unsealed_since=since,
        late=walk.late,
        late_row=walk.late_row,
        anchors=len(sound),
        signatures=_signatures(places, keys),
    )


def begin(connection: Connection, sound: Sequence[Place]) -> tuple[Walk, Break | None]:
    """A walk from before the first seal: from nothing, or from where retention came to."""
    first = connection.scalar(_FIRST)
    starts = {place.seq: place for place in sound if place.kind == "start"}
    if first is None:
        newest = max(starts, default=0)
        return Walk(newest, starts[newest].hash if newest else ZERO), None
    if first <= 1:
        return Walk(0, ZERO), None
    if first - 1 in starts:
        return Walk(first - 1, starts[first - 1].hash), None
    from_here = max((seq for seq in starts if seq < first), default=0) + 1
    what = f"rows {from_here} to {first - 1} are gone and retention does not answer for it"
    return Walk(first - 1, None), Break("removed", from_here, None, None, what)


def places(connection: Connection) -> list[Place]:
    """The head and every anchor, signed or not."""
    return _places(connection)


def said(lines: Iterable[str], name: str) -> Iterator[Check]:
    """Heads in log lines or in what `lab audit head` printed: each line with a seq and a hash."""
    for line in lines:
        found = _SAID.findall(line)
        seq = next((each for each, _ in found if each), None)
        digest = next((each for _, each in found if each), None)
        if digest:
            yield Check(int(seq) if seq else None, bytes.fromhex(digest), name)


def _places(connection: Connection) -> list[Place]:
    names = ("seq", "hash", "at", "signature")
    head = connection.execute(select(*(audit_head.c[name] for name in names)))
    anchors = connection.execute(
        select(audit_anchor.c.kind, *(audit_anchor.c[name] for name in names)).order_by("id")
    )
    return [*(Place("head", *row) for row in head), *(Place(*row) for row in anchors)]


def _allowed(place: Place) -> bool:
    """Unsigned from before there was a key; what retention leaves is always signed."""
    return place.signature is None and place.kind == "head"


def _unsigned(places: Sequence[Place], keys: Sequence[bytes]) -> Iterator[Break]:
    """Places that should be signed with our key and are not. The head is the first of them."""
    for i, place in enumerate(places):
        if vouched(place, keys) or (i and _allowed(place)):
            continue
        why = "is not signed" if place.signature is None else "is signed with another key"
        yield Break("anchor", place.seq, None, place.at.isoformat(), f"{_named(place)} {why}")


def _ends(walk: Walk) -> Iterator[Break]:
    """What lies beyond the end of the chain, or was never passed."""
    beyond = [check for checks in walk.checks.values() for check in checks]
    if beyond:
        furthest = max(beyond, key=lambda check: check.seq or 0)
        what = f"the chain ends at {walk.seq}, {furthest.name} stands at {furthest.seq}"
        yield Break("cut_off", walk.seq + 1, None, None, what)
    for check in walk.anywhere.values():
        what = f"{check.name} is nowhere in the chain: cut off before it, or written anew"
        yield Break("cut_off", walk.seq + 1, None, None, what)


def _beyond(walk: Walk, places: Sequence[Place]) -> Break | None:
    """Seals that no sealer made: it moves the head with them."""
    head = places[0].seq if places and places[0].kind == "head" else None
    if head is None and (walk.rows or walk.seq):
        return Break("cut_off", walk.seq + 1, None, None, "the head is gone")
    if head is not None and head < walk.seq:
        return Break("inserted", head + 1, None, None, f"sealed after the head, which is at {head}")
    return None


def _passed_by(connection: Connection) -> Iterator[Break]:
    for row in connection.execute(_PASSED_BY):
        what = "it has no seal where every row has one: back-dated, or its seal is gone"
        yield Break("inserted", None, row.id, row.at.isoformat(), what)


def _signatures(places: Sequence[Place], keys: Sequence[bytes]) -> str:
    if keys:
        return "checked"
    return "not checked" if any(place.signature for place in places) else "none"


def _named(place: Place) -> str:
    kind = "the head" if place.kind == "head" else "the start left by retention"
    return f"{kind} of {place.at:%Y-%m-%d %H:%M:%S} UTC"
