"""The chain: what bytes of a row are sealed, and reading rows with their seals in order.

The bytes of a row are what PostgreSQL writes for ROW(its columns)::text, in UTC and ISO dates: a
null is nothing between two commas, an empty text is "", what could be taken for anything else is
quoted, and jsonb has one order of keys. So no two different rows share them, and anyone with psql
can make them.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any, Final, NamedTuple, cast

import psycopg
from sqlalchemy import Connection, text

ZERO: Final = bytes(32)  # before the first row
COLUMNS: Final = (
    *("id", "at", "actor", "action", "object", "site_id", "address", "why", "outcome", "changed"),
    "values",
)
BYTES: Final = (
    f"""convert_to(ROW({", ".join(f'row."{name}"' for name in COLUMNS)})::text, 'UTF8')"""
)
PAGE: Final = 10_000

# Text is written by these; they may be set otherwise for a role or a database.
_SESSION: Final = text("""
    SELECT set_config('timezone', 'UTC', true), set_config('datestyle', 'ISO, YMD', true)
""")
# Page by page: memory stays small, and as the ids of a page lie close together, its rows are one
# stretch of an index. A join of everything would go through the disk to be sorted.
_PAGE: Final = text("""
    SELECT max(seq) AS last, min(audit_id) AS low, max(audit_id) AS high FROM (
        SELECT seq, audit_id FROM public.audit_seal
        WHERE seq BETWEEN :first AND :last ORDER BY seq LIMIT :size
    ) AS page
""")
_LINKS: Final = f"""
    SELECT seal.seq, seal.audit_id, seal.hash,
           CASE WHEN row.id IS NOT NULL THEN {BYTES} END
    FROM public.audit_seal AS seal
    LEFT JOIN public.audit AS row
        ON row.id = seal.audit_id AND row.id BETWEEN %(low)s AND %(high)s
    WHERE seal.seq BETWEEN %(first)s AND %(last)s ORDER BY seal.seq
"""


class Link(NamedTuple):
    """One seal, and the bytes of its row; None when there is none."""

    seq: int
    row_id: int
    hash: bytes
    row: bytes | None

    @property
    def at(self) -> str | None:
        """When the row was recorded, as its bytes say."""
        return self.row.split(b",", 2)[1].decode().strip('"') if self.row else None


def sealed(before: bytes, row: bytes) -> bytes:
    """The hash of a row that follows the hash `before`."""
    return sha256(before + row).digest()


def links(connection: Connection, first: int = 0, last: int = 2**63 - 1) -> Iterator[Link]:
    """Every seal of first..last with its row, in order.

    The next page is read while one is worked on: nothing else may use the connection meanwhile.
    """
    fix_output(connection)
    with ThreadPoolExecutor(1) as reader:
        page = _page(connection, first, last)
        while page:
            ahead = reader.submit(_page, connection, page[-1][0] + 1, last)
            yield from map(Link._make, page)
            page = ahead.result()


def _page(connection: Connection, first: int, last: int) -> list[tuple[Any, ...]]:
    found = connection.execute(_PAGE, {"first": first, "last": last, "size": PAGE}).one()
    if found.last is None:
        return []
    return fetched(connection, _LINKS, {"first": first, **found._mapping})


def fix_output(connection: Connection) -> None:
    """Make text of values the same in every session, until the transaction ends."""
    connection.execute(_SESSION)


def fetched(
    connection: Connection, query: str, values: Mapping[str, object]
) -> list[tuple[Any, ...]]:
    """All rows, by the driver alone: there are many, and each has only to be hashed."""
    cursor = driver(connection).cursor(binary=True)
    # Not prepared: the plan is made for these very values.
    return cursor.execute(query.encode(), values, prepare=False).fetchall()


def driver(connection: Connection) -> psycopg.Connection:
    """The driver's own connection, in the same transaction."""
    return cast(psycopg.Connection, connection.connection.driver_connection)
