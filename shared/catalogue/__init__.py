"""The menu board (8 domains, 39 named services) and its cost table, as the seed report has them."""

from functools import cache
from importlib.resources import files
from typing import Any

import orjson

Document = dict[str, Any]


@cache
def menu_board() -> Document:
    """The whole menu board, contradictions of the source included; not to be changed."""
    return _read("menu_board.json")


@cache
def cost_table() -> Document:
    """Table 3 of the report: project costs in KRW, stated and recomputed; not to be changed."""
    return _read("cost_table.json")


def services() -> list[Document]:
    """The 39 services in the order of the board."""
    return [each for domain in menu_board()["domains"] for each in domain["services"]]


def service(key: str) -> Document | None:
    """A service by its id (SEC-02) or slug (weather_risk_management_system); None if unknown."""
    return _by_key().get(key)


def service_keys() -> frozenset[str]:
    """Every id and slug that `service` knows."""
    return frozenset(_by_key())


def cost_rows(service: Document) -> list[Document]:
    """The rows of the cost table a service is linked to, each with the `relation` of the link."""
    rows = {row["id"]: row for row in cost_table()["rows"]}
    return [
        {**rows[link["row_id"]], "relation": link["relation"], "derived": link["derived"]}
        for link in service["cost_table_links"]
    ]


@cache
def _by_key() -> dict[str, Document]:
    return {each[name]: each for each in services() for name in ("id", "slug")}


def _read(name: str) -> Document:
    document: Document = orjson.loads((files(__package__) / name).read_bytes())
    return document
