"""Credentials of sources: made, replaced, revoked, and what the broker is to know of them."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final

import bcrypt
from sqlalchemy import Connection, text

from shared.errors import OperatorError

# Passwords are 192 random bits: no guessing to slow down. NATS hashes again at each reload, once
# for every client that is connected.
_ROUNDS: Final = 4
_PASSWORD_BYTES: Final = 24


class UnknownSource(OperatorError):
    """No such source, or it has no credential; the message lists what there is."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One user the broker is to know: it may publish under these filters and do nothing else."""

    user: str
    password_hash: str
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """A source and the last credential it had; None: never had one."""

    user: str
    filters: Sequence[str]
    created_at: datetime | None
    revoked_at: datetime | None

    @property
    def in_force(self) -> bool:
        """Whether somebody may connect as this source."""
        return self.created_at is not None and self.revoked_at is None


def grants(connection: Connection) -> list[Grant]:
    """Every credential in force with the filters its source has now."""
    return [Grant(user, hash_, tuple(sorted(f))) for user, hash_, f in connection.execute(_GRANTS)]


def hashes(connection: Connection) -> dict[str, str]:
    """User name → bcrypt hash of every credential in force."""
    return {grant.user: grant.password_hash for grant in grants(connection)}


def matches(password_hash: str | None, password: str) -> bool:
    """Whether the password is the one; takes as long where there is none."""
    said = password.encode("utf-8", "surrogatepass")
    right = bcrypt.checkpw(said[:72], (password_hash or _nobodys()).encode())
    return right and password_hash is not None and len(said) <= 72


@cache
def _nobodys() -> str:
    return bcrypt.hashpw(secrets.token_bytes(_PASSWORD_BYTES), bcrypt.gensalt(_ROUNDS)).decode()


def replace(connection: Connection, source: str) -> tuple[str, str]:
    """A new credential for SITE/SOURCE, the earlier one ended; user name and password.

    The password is nowhere but in the answer. The caller commits. Raises UnknownSource.
    """
    source_id = _find(connection, source)
    user, password = source.replace("/", "."), secrets.token_urlsafe(_PASSWORD_BYTES)
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(_ROUNDS)).decode()
    connection.execute(_REVOKE, {"source_id": source_id})
    connection.execute(_INSERT, {"source_id": source_id, "user": user, "hash": hashed})
    return user, password


def revoke(connection: Connection, source: str) -> str:
    """End the credential of SITE/SOURCE; its user name. Revoking again is no fault."""
    connection.execute(_REVOKE, {"source_id": _find(connection, source)})
    return source.replace("/", ".")


def listing(connection: Connection) -> list[Listed]:
    """Every source, by name."""
    return [Listed(*row) for row in connection.execute(_LISTING)]


def _find(connection: Connection, source: str) -> int:
    found = connection.scalar(_SOURCE, {"name": source})
    if found is None:
        known = ", ".join(each.user.replace(".", "/") for each in listing(connection)) or "none yet"
        raise UnknownSource(f"{source}: no such source; there are: {known}")
    return int(found)


_GRANTS: Final = text(
    """
    SELECT c.user_name, c.password_hash, s.filters
    FROM source_credential c JOIN source s ON s.id = c.source_id
    WHERE c.revoked_at IS NULL
    ORDER BY c.user_name
    """
)
_LISTING: Final = text(
    """
    SELECT site.key || '.' || s.key, s.filters, c.created_at, c.revoked_at
    FROM source s JOIN site ON site.id = s.site_id
    LEFT JOIN LATERAL (
        SELECT created_at, revoked_at FROM source_credential
        WHERE source_id = s.id ORDER BY id DESC LIMIT 1
    ) c ON true
    ORDER BY site.key, s.key
    """
)
# The row is locked: two at once would both find no credential in force.
_SOURCE: Final = text(
    """
    SELECT s.id FROM source s JOIN site ON site.id = s.site_id
    WHERE site.key || '/' || s.key = :name
    FOR UPDATE OF s
    """
)
_REVOKE: Final = text(
    """
    UPDATE source_credential SET revoked_at = now()
    WHERE source_id = :source_id AND revoked_at IS NULL
    """
)
_INSERT: Final = text(
    """
    INSERT INTO source_credential (source_id, user_name, password_hash)
    VALUES (:source_id, :user, :hash)
    """
)
