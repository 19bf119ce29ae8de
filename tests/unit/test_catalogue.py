"""The menu board and its costs, as the report has them."""

import pytest

from shared import catalogue


def test_every_domain_names_as_many_services_as_it_says() -> None:
    board = catalogue.menu_board()
    assert len(board["domains"]) == 8
    assert len(catalogue.services()) == board["count_check"]["named_in_figure_10"] == 39
    for domain in board["domains"]:
        assert len(domain["services"]) == domain["named_services"]
        assert board["count_check"]["by_domain"][domain["id"]] == domain["named_services"]


def test_a_service_is_found_by_id_and_by_slug() -> None:
    for service in catalogue.services():
        assert catalogue.service(service["id"]) is service
        assert catalogue.service(service["slug"]) is service
    assert len(catalogue.service_keys()) == 2 * 39
    assert catalogue.service("SEC-99") is None


def test_every_cost_link_leads_to_a_row() -> None:
    linked = [row for service in catalogue.services() for row in catalogue.cost_rows(service)]
    assert len(linked) == 12
    assert all(row["relation"] for row in linked)


def test_recomputed_costs_follow_their_terms() -> None:
    for row in catalogue.cost_table()["rows"]:
        terms = row["terms"]
        if row["recomputed_krw"] is None or any(term["quantity"] is None for term in terms):
            continue
        total = sum(term["unit_cost_krw"] * term["quantity"] for term in terms)
        assert total == pytest.approx(row["recomputed_krw"]), row["id"]


def test_the_two_rows_that_do_not_follow_their_formula_are_still_marked() -> None:
    wrong = {row["id"] for row in catalogue.cost_table()["rows"] if row["arithmetic_ok"] is False}
    assert wrong == {"T3-05", "T3-23"}
