"""The API's own document, tried by a key of each role at one site: no fault, nothing of others."""

import os
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import pytest
import schemathesis
from hypothesis import settings

from shared.domain.permission import GRANTED
from shared.settings import Database
from tests import people
from tests.integration import served_api
from tests.integration.served_api import FULL, described

pytestmark = pytest.mark.database
OWN: Final = "calder"
# Keys as values, names and zones of the sites that are not theirs: what is asked for is not these.
OF_OTHERS: Final = ('"cibinong"', '"yangon"', "Cibinong", "Yangon", "Asia/Jakarta")
schema = described()


class Served(NamedTuple):
    """A server, and a key of each role for what is OWN."""

    address: str
    keys: dict[str, str]


@pytest.fixture(scope="module")
def served(new_database: Callable[[str], Database]) -> Iterator[Served]:
    database = new_database(f"lab_roles_{os.getpid()}")
    with served_api.filled(database) as engine:
        keys = {role: people.add(engine, role, [OWN]) for role in GRANTED}
    with served_api.serving(database) as address:
        yield Served(address, keys)


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
