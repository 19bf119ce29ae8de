"""Statements sent by the driver itself: for those of every request, since SQLAlchemy's own way
takes as long again as the database does."""

from collections.abc import Sequence
from typing import Any

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection


async def of(connection: AsyncConnection) -> psycopg.AsyncConnection:
    """The driver's own connection."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver, psycopg.AsyncConnection)
    return driver


async def execute(
    connection: AsyncConnection,
    statements: str,
    parameters: Sequence[Any] | None = None,
    *,
    prepare: bool | None = None,
) -> psycopg.AsyncCursor:
    """The last result; several statements take no parameters and `prepare=False`.

    Raises SQLAlchemy's DBAPIError; a connection that turns out dead is invalidated.
    """
    driver = await of(connection)
    try:
        cursor: psycopg.AsyncCursor = await driver.execute(statements, parameters, prepare=prepare)
        while cursor.nextset():
            pass
    except psycopg.Error as error:
        if driver.closed:
            await connection.invalidate(error)
        raise DBAPIError.instance(
            statements,
            parameters,
            error,
            psycopg.Error,
            hide_parameters=True,
            connection_invalidated=driver.closed,
            dialect=connection.dialect,
        ) from error
    return cursor
