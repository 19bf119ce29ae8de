"""A request's transaction: begun and scoped by one message, which also tells a dead connection;
ended by one that also carries what the audit is told."""

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db import audit, driver, scope
from shared.db.access import VERSION

_ENTER: Final = f"SELECT set_config('{scope.SETTING}', '%s', true), {VERSION}"


async def begin(connection: AsyncConnection, sites: Collection[int] | None) -> int:
    """Begin, with these sites to be seen (None: all); tells the version of `access_state`.

    connection: in autocommit, so that the driver begins nothing by itself. One that died while it
    waited in its pool is replaced. Raises SQLAlchemy's DBAPIError.
    """
    while True:
        try:
            return await _ask(connection, f"BEGIN; {_enter(sites)}")
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise


async def rescope(connection: AsyncConnection, sites: Collection[int] | None) -> None:
    """Let a transaction that has begun see these sites. Raises SQLAlchemy's DBAPIError."""
    await _ask(connection, _enter(sites))


async def commit(connection: AsyncConnection, written: Sequence[audit.Entry]) -> None:
    """End it, with these entries: they stand or fall with what they tell of.

    Raises SQLAlchemy's DBAPIError, and then nothing of either stands.
    """
    if written:
        entries = audit.spelled((await driver.of(connection)).pgconn, written)
        await driver.execute(connection, f"{entries}; COMMIT", prepare=False)
    await connection.commit()


def _enter(sites: Collection[int] | None) -> str:
    return _ENTER % scope.sites_setting(sites)  # digits only


async def _ask(connection: AsyncConnection, statements: str) -> int:
    """The last number they tell."""
    row = await (await driver.execute(connection, statements, prepare=False)).fetchone()
    assert row is not None
    return int(row[-1])
