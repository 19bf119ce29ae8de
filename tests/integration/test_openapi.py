"""The OpenAPI document keeps its word: schemathesis finds no server error and no violation."""

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
import schemathesis
from hypothesis import settings

from shared.settings import Database
from tests import people
from tests.integration import served_api
from tests.integration.served_api import DOCUMENT, FULL, described

pytestmark = pytest.mark.database
OPERATIONS = {
    f"{method} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
schema = described()


class Served(NamedTuple):
    """Where a server answers, and what an admin shows it."""

    address: str
    headers: dict[str, str]


@pytest.fixture(scope="module")
def served(new_database: Callable[[str], Database]) -> Iterator[Served]:
    """A real server over a filled database of its own."""
    database = new_database(f"lab_openapi_{os.getpid()}")
    with served_api.filled(database) as engine:
        key = people.add(engine)
    with served_api.serving(database) as address:
        yield Served(address, people.bearer(key))


@schema.parametrize()
@settings(max_examples=200 if FULL else 8, deadline=None, derandomize=not FULL)
def test_every_operation_does_what_its_document_says(
    case: schemathesis.Case, served: Served
) -> None:
    case.call_and_validate(base_url=served.address, headers=served.headers)


def test_nothing_but_reading_and_what_people_do_is_offered() -> None:
    assert [path for path, methods in DOCUMENT["paths"].items() if set(methods) - {"get"}] == [
        "/v1/findings/{finding}/actions",
        "/v1/keys",
        "/v1/keys/{prefix}/rotate",
        "/v1/keys/{prefix}",
        "/v1/redrive",
        "/v1/reprocess",
    ]


@pytest.mark.parametrize("path", OPERATIONS)
def test_every_operation_is_described(path: str) -> None:
    operation = OPERATIONS[path]
    assert operation["summary"]
    assert operation["tags"]
    for status, response in operation["responses"].items():
        content = response.get("content", {})
        if int(status) >= 400:
            assert list(content) == ["application/problem+json"], status
    if "{" in path:
        assert "404" in operation["responses"]


def test_the_errors_of_the_framework_are_not_documented() -> None:
    assert "HTTPValidationError" not in DOCUMENT["components"]["schemas"]


@pytest.mark.parametrize("name", DOCUMENT["components"]["schemas"])
def test_every_schema_says_what_it_is(name: str) -> None:
    assert DOCUMENT["components"]["schemas"][name].get("description")


@pytest.mark.parametrize(
    "name",
    ["Pilot", "Device", "Datastream", "Latest", "Finding", "Outcome", "Head", "Requests"],
)
def test_origin_is_part_of_every_item(name: str) -> None:
    assert "origin" in DOCUMENT["components"]["schemas"][name]["required"]


@pytest.mark.parametrize("name", ["Datastream", "Latest", "Finding", "Outcome", "Head"])
def test_values_come_with_their_unit(name: str) -> None:
    assert "unit" in DOCUMENT["components"]["schemas"][name]["required"]
