"""The API's own document, tried by a key of each role at one site: no fault, nothing of others."""

import os
import threading
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import pytest
import schemathesis
from hypothesis import settings

from services.api.app import create_app
from services.api.main import listening, server
from shared.db import migrate
from shared.db.engine import sync_engine
from shared.domain.permission import GRANTED
from shared.embedded.nats import free_port
from shared.settings import Api, Database
from tests import people
from tests.integration import api_world

pytestmark = pytest.mark.database
FULL: Final = "LAB_TEST_FULL" in os.environ
OWN: Final = "calder"
# Keys as values, names and zones of the sites that are not theirs: what is asked for is not these.
OF_OTHERS: Final = ('"cibinong"', '"yangon"', "Cibinong", "Yangon", "Asia/Jakarta")
schema = schemathesis.openapi.from_dict(
    create_app(Database(url="postgresql://lab@/nowhere")).openapi()
).exclude(path="/v1/live")


class Served(NamedTuple):
    """A server, and a key of each role for what is OWN."""

    address: str
    keys: dict[str, str]


@pytest.fixture(scope="module")
def served(new_database: Callable[[str], Database]) -> Iterator[Served]:
    database = new_database(f"lab_roles_{os.getpid()}")
    engine = sync_engine(database)
    migrate.upgrade(engine)
    api_world.fill(engine)
    keys = {role: people.add(engine, role, [OWN]) for role in GRANTED}
    engine.dispose()
    port = free_port()
    running = server(database, api=Api(rate_per_address=0, rate_per_principal=0))
    with listening(Api(port=port)) as listener:
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        yield Served(f"http://127.0.0.1:{port}", keys)
        running.should_exit = True
        thread.join()


@schema.parametrize()
@settings(max_examples=100 if FULL else 4, deadline=None, derandomize=not FULL)
def test_no_role_meets_a_fault_or_anything_of_another_site(
    case: schemathesis.Case, served: Served
) -> None:
    for role, key in served.keys.items():
        answer = case.call(base_url=served.address, headers=people.bearer(key))
        told = (role, answer.status_code, answer.request.url, answer.text[:300])
        assert answer.status_code < 500, told
        if "/catalogue" not in case.path:  # which tells of every city, to everybody
            assert not any(each in answer.text for each in OF_OTHERS), told
