"""The audit log: writing an entry in the caller's transaction, and reading what was written."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeAlias, TypedDict, Unpack

from psycopg.pq import Escaping
from psycopg.pq.abc import PGconn
from sqlalchemy import ColumnElement, Connection, Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db import driver
from shared.db.tables import audit, audit_seal

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Who did what to which object, when it is recorded, from where and why."""

    actor: str  # "user:dewi", "key:3f9a1c (dewi)", "cli:root", "anonymous"
    action: str  # "sign_in", "create", "update", "read", "export", "refused" ...
    object: str  # "finding/17", "device/3/uplinks"
    site_id: int | None = None
    address: str | None = None  # the client's; None with the command line
    why: str | None = None  # the reason given; None: none was
    outcome: str = "done"  # done | refused | failed
    changed: tuple[str, ...] = ()  # names of changed fields
    values: Mapping[str, JSON] = field(default_factory=dict)  # only of fields that are not personal


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded(Entry):
    """An entry as it stands. seq and hash (hex): its place in the chain; None: not sealed yet."""

    id: int
    at: datetime
    seq: int | None
    hash: str | None


class Chosen(TypedDict, total=False):
    """Which entries: of [start, end), those below the id `after`; limit None: all."""

    actor: str | None
    action: str | None
    object_prefix: str | None
    site_id: int | None
    start: datetime | None
    end: datetime | None
    after: int | None
    limit: int | None


LIMIT: Final = 100
_INTO: Final = """
    INSERT INTO audit (actor, action, object, site_id, address, why, outcome, changed, values)
"""
# Sent as it stands: nothing is compiled for it, and the driver prepares it at its sixth use.
RECORD: Final = f"{_INTO} VALUES (%s, %s, %s, %s, %s, %s, %s, %s::text[], %s::jsonb)"


async def record(connection: AsyncConnection, entry: Entry) -> None:
    """Write one entry inside the caller's transaction: it stands or falls with what it tells of."""
    await driver.execute(connection, RECORD, _parameters(entry))


def spelled(connection: PGconn, entries: Sequence[Entry]) -> str:
    """One statement that writes these entries, to be sent with others at once: a message of its own
    costs a request as much as the writing does."""
    escape = Escaping(connection).escape_literal

    def literal(value: object) -> str:
        if value is None:
            return "NULL"
        if isinstance(value, list):
            return f"ARRAY[{', '.join(map(literal, value))}]::text[]"
        return bytes(escape(str(value).encode())).decode()

    rows = [f"({', '.join(map(literal, _parameters(entry)))})" for entry in entries]
    return f"{_INTO} VALUES {', '.join(rows)}"


def record_sync(connection: Connection, entry: Entry) -> None:
    """As `record`, for whoever has no event loop."""
    connection.exec_driver_sql(RECORD, _parameters(entry))


async def entries(connection: AsyncConnection, **chosen: Unpack[Chosen]) -> list[Recorded]:
    """What `selected` chooses, newest first."""
    return [recorded(row) for row in await connection.execute(selected(**chosen))]


def entries_sync(connection: Connection, **chosen: Unpack[Chosen]) -> list[Recorded]:
    """What `selected` chooses, newest first."""
    return [recorded(row) for row in connection.execute(selected(**chosen))]


def selected(**chosen: Unpack[Chosen]) -> Select[Any]:
    """The query of what is chosen, newest first by id.

    What commits late has an id of its own and never moves what was listed before.
    """
    wanted = {name: value for name, value in chosen.items() if value is not None}
    query = select(*_SHOWN).join_from(
        audit, audit_seal, audit_seal.c.audit_id == audit.c.id, isouter=True
    )
    query = query.where(
        *(_CONDITIONS[name](value) for name, value in wanted.items() if name != "limit")
    )
    return query.order_by(audit.c.id.desc()).limit(chosen.get("limit", LIMIT))


def recorded(row: Row[Any]) -> Recorded:
    """A row of `selected`."""
    told = dict(row._mapping)
    sealed: bytes | None = told["hash"]
    return Recorded(
        **{**told, "changed": tuple(told["changed"]), "hash": sealed.hex() if sealed else None}
    )


_SHOWN: Final = (
    *(column for column in audit.c if column.name != "xid"),
    audit_seal.c.seq,
    audit_seal.c.hash,
)

_CONDITIONS: Final[dict[str, Callable[[Any], ColumnElement[bool]]]] = {
    "actor": lambda said: audit.c.actor == said,
    "action": lambda said: audit.c.action == said,
    "object_prefix": lambda said: audit.c.object.startswith(said, autoescape=True),
    "site_id": lambda said: audit.c.site_id == said,
    "start": lambda said: audit.c.at >= said,
    "end": lambda said: audit.c.at < said,
    "after": lambda said: audit.c.id < said,
}
_NO_TEXT: Final = re.compile("[\x00\ud800-\udfff]")


def _parameters(entry: Entry) -> tuple[object, ...]:
    return (
        _storable(entry.actor),
        _storable(entry.action),
        _storable(entry.object),
        entry.site_id,
        entry.address and _storable(entry.address),
        entry.why and _storable(entry.why),
        entry.outcome,
        [_storable(name) for name in entry.changed],
        json.dumps(_cleaned(entry.values), ensure_ascii=False),
    )


def _storable(said: str) -> str:
    """What PostgreSQL cannot hold becomes U+FFFD: a name with a NUL must not hide an attempt."""
    return _NO_TEXT.sub("\ufffd", said)


def _cleaned(value: JSON) -> JSON:
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {_storable(name): _cleaned(each) for name, each in value.items()}
    if isinstance(value, Sequence):
        return [_cleaned(each) for each in value]
    return value
