"""A real server over the API tests' world, in a database of its own: asked from outside."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import schemathesis
from schemathesis.config import SchemathesisConfig
from sqlalchemy import Engine

from services.api.app import create_app
from services.api.main import listening, server
from shared.db import migrate
from shared.db.engine import sync_engine
from shared.embedded.nats import free_port
from shared.settings import Api, Database
from tests.integration import api_world

FULL: Final = "LAB_TEST_FULL" in os.environ
DOCUMENT: Final[dict[str, Any]] = create_app(Database(url="postgresql://lab@/nowhere")).openapi()


@contextmanager
def filled(database: Database) -> Iterator[Engine]:
    """The schema and the world, and an engine to put more into it."""
    engine = sync_engine(database)
    migrate.upgrade(engine)
    api_world.fill(engine)
    yield engine
    engine.dispose()


@contextmanager
def serving(database: Database) -> Iterator[str]:
    """The address of a server in a thread of its own, without limits."""
    port = free_port()
    running = server(database, api=Api(rate_per_address=0, rate_per_principal=0))
    with listening(Api(port=port)) as listener:
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{port}"
        running.should_exit = True
        thread.join()


def described() -> schemathesis.BaseSchema:
    """What schemathesis tries: each boundary of each parameter in CI and `make test-full`, since
    they are made before the first test of any file runs."""
    whole = FULL or "CI" in os.environ
    config = SchemathesisConfig.from_dict({"phases": {"coverage": {"enabled": whole}}})
    schema = schemathesis.openapi.from_dict(DOCUMENT, config=config)
    # A stream does not end by itself; tests/integration/test_api_live.py reads it.
    return schema.exclude(path="/v1/live")
