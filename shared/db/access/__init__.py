"""Principals, keys, sessions and links in the database; every change counts `access_state` up."""

from typing import Final

from sqlalchemy import Connection, text

from shared.errors import OperatorError

_COUNT: Final = text("""
    INSERT INTO access_state (version) VALUES (1)
    ON CONFLICT (single) DO UPDATE SET version = access_state.version + 1
""")
# Asked with every request, so that what a process remembers is never older than the last change.
VERSION: Final = "COALESCE((SELECT version FROM access_state), 0)"


class AccessRefused(OperatorError):
    """A principal, grant or key that cannot be made or changed; the message says why."""


def changed(connection: Connection) -> None:
    """Say that who may do what has changed: whoever remembers anything forgets it."""
    connection.execute(_COUNT)
