"""Everybody who could ask, against three sites of which each knows one: for tests of access."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx
from fastapi import FastAPI
from sqlalchemy import Connection, Engine, text

from services.analytics.outcomes.metric import described as describe
from services.analytics.outcomes.metric import metrics
from services.api.access.own_page import csrf_token
from services.api.app import create_app
from shared.db import tables
from shared.db.access import keys, principals, sessions
from shared.domain.permission import GRANTED, Role
from shared.settings import Access, Api, Database
from tests import people
from tests.integration import api_world

OWN, OTHER = "cibinong", "yangon"
HOST: Final = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class World:
    """A key and a session of each role, granted at OWN alone; and what has ended."""

    keys: Mapping[Role, str]
    sessions: Mapping[Role, str]
    everywhere: str  # an admin of all sites
    expired: str
    revoked: str


def fill(engine: Engine) -> World:
    """The API tests' world, with people."""
    api_world.fill(engine)
    made = {role: people.add(engine, role, [OWN], name=f"{role}-own") for role in GRANTED}
    ended = {name: people.add(engine, name=name) for name in ("expired", "revoked")}
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE api_key SET expires_at = now() - interval '1 s' WHERE prefix = :prefix"),
            {"prefix": ended["expired"][4:12]},
        )
        described = tables.metric_definition.update()  # as analytics does, for the pages
        connection.execute(described.values(description=describe(metrics()["data_completeness"])))
        keys.revoke(connection, keys.find(connection, ended["revoked"][4:12]).id, datetime.now(UTC))
    return World(
        keys=made,
        sessions={role: session_of(engine, f"{role}-own") for role in GRANTED},
        everywhere=people.add(engine, name="everywhere"),
        **ended,
    )


def session_of(engine: Engine, name: str, age: timedelta = timedelta()) -> str:
    """The token of a session of somebody, begun `age` ago."""
    with engine.begin() as connection:
        number = principals.find(connection, name).id
        return sessions.begin(connection, number, datetime.now(UTC) - age, "127.0.0.1")


@asynccontextmanager
async def running(
    database: Database, *, public: bool = False
) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """The application and a client that shows nothing of itself."""
    unlimited = Api(rate_per_address=0, rate_per_principal=0)
    app = create_app(database, access=Access(public=public), api=unlimited)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=HOST) as client,
    ):
        yield app, client


def change(engine: Engine, act: Callable[[Connection], object]) -> None:
    """As another process does it, such as the command line."""
    with engine.begin() as connection:
        act(connection)


def as_session(token: str, *, csrf: bool = True) -> dict[str, str]:
    shown = {"cookie": f"livinglab={token}"}
    return {**shown, "x-csrf-token": csrf_token(token)} if csrf else shown
