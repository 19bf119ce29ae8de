"""Job `audit`: gives each committed row its place in the chain, every second.

Rows commit in any order of their ids. The head remembers up to where all are sealed, in the order
of (xid, id) and never beyond the oldest transaction still running; what has committed further on is
sealed at once too, and told from what is sealed already by its seal.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert, select, text

from services.analytics.audit.chain import BYTES, ZERO, driver, fetched, fix_output, sealed
from services.analytics.audit.sign import Place, signed, vouched
from shared.db.tables import audit_anchor, audit_head
from shared.errors import OperatorError

BATCH: Final = 10_000

# Asked before rows are looked for: whatever had finished then is among what is found.
_HORIZON: Final = text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
# A seal is looked for row by row: a join would read all of them each second.
_UNSEALED: Final = f"""
    SELECT row.xid::text::bigint, row.id, {BYTES}
    FROM public.audit AS row
    WHERE (row.xid, row.id) > (%(xid)s::text::xid8, %(id)s)
      AND (SELECT seq FROM public.audit_seal WHERE audit_id = row.id) IS NULL
    ORDER BY row.xid, row.id LIMIT %(limit)s
"""
_BEYOND: Final = text("""
    SELECT EXISTS (SELECT FROM audit WHERE (xid, id) > (CAST(CAST(:xid AS text) AS xid8), :id))
""")
_STORE: Final = "COPY public.audit_seal (seq, audit_id, hash) FROM STDIN"
_LOCKED: Final = select(
    *(audit_head.c[name] for name in ("seq", "hash", "at", "signature", "passed_id")),
    text("passed_xid::text::bigint AS passed_xid"),
).with_for_update()
_ANY: Final = text("SELECT EXISTS (SELECT FROM audit_seal) OR EXISTS (SELECT FROM audit_anchor)")
_MOVE: Final = text("""
    UPDATE audit_head SET seq = :seq, hash = :hash, at = :at, signature = :signature,
        passed_xid = CAST(CAST(:xid AS text) AS xid8), passed_id = :id
""")
_REBASE: Final = text("""
    UPDATE audit SET xid = CASE WHEN EXISTS (SELECT FROM audit_seal WHERE audit_id = audit.id)
                                THEN '1' ELSE '2' END::xid8
""")


class ChainBroken(OperatorError):
    """The chain does not go on from where it stood; nothing is sealed until somebody has looked."""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest seal, and up to where every row has one."""

    place: Place
    passed: tuple[int, int]


def head(connection: Connection, keys: tuple[bytes, ...], now: datetime) -> Head:
    """The head, locked until the transaction ends; begun when nothing was ever sealed.

    Raises ChainBroken when it is gone, or not vouched for as these keys ask.
    """
    row = connection.execute(_LOCKED).one_or_none()
    if row is None:
        if connection.scalar(_ANY):
            raise ChainBroken(f"audit: the head is gone while seals are there; {LOOK}")
        _begin(connection, keys, now)
        row = connection.execute(_LOCKED).one()
    place = Place("head", row.seq, row.hash, row.at, row.signature)
    if place.seq and place.signature is None and keys:
        raise ChainBroken(f"audit: LAB_AUDIT_KEY is set and the head is not signed; {LOOK}")
    if place.signature is not None and not vouched(place, keys):
        raise ChainBroken(f"audit: the head is signed with another LAB_AUDIT_KEY; {LOOK}")
    return Head(place, (row.passed_xid, row.passed_id))


LOOK: Final = "run `lab audit verify`, then `lab audit adopt` to go on from what is there"


def _begin(connection: Connection, keys: tuple[bytes, ...], now: datetime) -> None:
    first = signed(Place("head", 0, ZERO, now), keys)
    connection.execute(
        text("""
            INSERT INTO audit_head (seq, hash, at, signature, passed_xid, passed_id)
            VALUES (0, :hash, :at, :signature, '0', 0) ON CONFLICT DO NOTHING
        """),
        {"hash": first.hash, "at": now, "signature": first.signature},
    )


def seal(
    connection: Connection, at: Head, keys: tuple[bytes, ...], now: datetime, limit: int = BATCH
) -> tuple[Head, int]:
    """Seal what has committed since, `limit` rows at most; the new head and how many."""
    fix_output(connection)
    settled = (int(connection.scalar(_HORIZON) or 0), 0)
    xid, row_id = at.passed
    seq, digest = at.place.seq, at.place.hash
    rows = fetched(connection, _UNSEALED, {"xid": str(xid), "id": row_id, "limit": limit})
    seals: list[str] = []
    for _, number, row in rows:
        seq, digest = seq + 1, sealed(digest, row)
        seals.append(f"{seq}\t{number}\t\\\\x{digest.hex()}\n")
    if seals:
        with driver(connection).cursor() as cursor, cursor.copy(_STORE) as copy:
            copy.write("".join(seals))
    elif settled <= at.passed or not connection.scalar(_BEYOND, {"xid": xid, "id": row_id}):
        return at, 0  # nothing came, and nothing is looked at again each second for no use
    if len(rows) == limit:
        settled = min(settled, rows[-1][:2])
    place = signed(Place("head", seq, digest, now), keys) if seals else at.place
    moved = Head(place, max(settled, at.passed))
    _move(connection, moved)
    return moved, len(seals)


def adopt(connection: Connection, keys: tuple[bytes, ...], now: datetime) -> Place:
    """Go on from the newest seal there is, or start, whatever the head said, and vouch for it.

    What was broken stays broken, and `verify` goes on telling so.
    """
    connection.execute(text("LOCK TABLE audit_head IN EXCLUSIVE MODE"))
    newest = connection.execute(
        text("""
            SELECT seq, hash FROM audit_seal UNION ALL
            SELECT seq, hash FROM audit_anchor WHERE kind = 'start'
            ORDER BY seq DESC LIMIT 1
        """)
    ).one_or_none()
    _begin(connection, keys, now)
    seq, digest = newest or (0, ZERO)
    place = signed(Place("head", seq, digest, now), keys)
    _move(connection, Head(place, (0, 0)))  # what has no seal is looked for among all rows
    return place


def rebase(connection: Connection) -> None:
    """After a restore: transaction ids begin anew, rows without a seal come first among them."""
    connection.execute(text("SET LOCAL lab.audit_unlocked = 'restore'"))
    connection.execute(_REBASE)
    connection.execute(text("UPDATE audit_head SET passed_xid = '2', passed_id = 0"))


def anchor(connection: Connection, place: Place) -> None:
    """Keep a signed place of the chain."""
    connection.execute(
        insert(audit_anchor).values(
            kind=place.kind,
            seq=place.seq,
            hash=place.hash,
            at=place.at,
            signature=place.signature,
        )
    )


def _move(connection: Connection, to: Head) -> None:
    xid, row_id = to.passed
    place = to.place
    connection.execute(
        _MOVE,
        {
            **{"seq": place.seq, "hash": place.hash, "at": place.at},
            **{"signature": place.signature, "xid": xid, "id": row_id},
        },
    )
