"""The menu board: 8 domains and 39 named services, with every contradiction of its source."""

from functools import cache
from hashlib import sha256
from typing import Annotated, Any, Final

from fastapi import Header, Path
from fastapi.responses import Response
from pydantic import BaseModel, Field

from services.api.access.guard import Router, needs
from services.api.listing import Payload
from services.api.problem import MISSING, NotFound, Responses
from shared import catalogue


class Term(Payload):
    """One factor of a printed formula: unit cost in KRW times quantity."""

    unit_cost_krw: int
    per: str
    quantity: float | None
    quantity_unit: str | None


class CostRow(Payload):
    """One row of the cost table (KRW), as stated and as recomputed from its formula."""

    id: str = Field(examples=["T3-05"])
    concept: str
    technology: str
    stated_cost_krw: int | None
    stated_formula: str | None
    terms: list[Term]
    recomputed_krw: int | None
    difference_krw: int | None
    arithmetic_ok: bool | None
    reference_project: str | None
    cost_kind: str
    quantity_stated: bool
    flags: list[str]
    note: str | None
    relation: str = Field(description="how the row relates to the service")
    derived: bool = Field(description="the link is ours, not the source's")


class CostLink(Payload):
    """A link from a service to a row of the cost table."""

    row_id: str
    relation: str
    derived: bool


class Service(Payload):
    """One service. null: the source has no readable content (see `field_content_note`)."""

    id: str = Field(examples=["SEC-02"])
    slug: str = Field(examples=["weather_risk_management_system"])
    name: str = Field(examples=["Weather risk management system"])
    in_figure_10: bool
    proposed_for_cibinong_figure_14: bool | None
    overview: str | None
    necessity: str | None
    core_technology: str | None
    application_cases: str | None
    unit_cost: str | None
    cost_table_links: list[CostLink]
    costs: list[CostRow] = Field(description="the linked rows themselves, in KRW")


class ServiceInFull(Service):
    """One service with its domain."""

    domain: str = Field(examples=["security"])
    field_content_note: str = Field(description="why content fields are null")


class Domain(Payload):
    """One of the eight domains, under both of its names."""

    id: str = Field(examples=["security"])
    order: int
    name_in_figure_10: str
    name_in_body_text: str
    name_matches_body_text: bool
    named_services: int
    services: list[Service]


class Source(Payload):
    """The report these facts are taken from."""

    title: str
    institution: str
    year: int
    year_note: str
    text_form: str


class Claim(Payload):
    """A number of services that the source claims, and where."""

    claimed: int
    wording: str
    where: str


class CountCheck(Payload):
    """Services named against services claimed."""

    named_in_figure_10: int
    by_domain: dict[str, int]
    claims: list[Claim]
    shortfall_vs_42: int
    shortfall_vs_50: int
    finding: str


class RequiredField(Payload):
    """A field the source wants of each catalogue entry."""

    field: str
    where: str


class SelectionRule(Payload):
    """Domains the source recommends for a city's goal."""

    city_goal: str
    domains: list[str]


class Catalogue(Payload):
    """The whole menu board."""

    source: Source
    drawn_from: list[str]
    count_check: CountCheck
    domain_name_conflict: str
    required_catalogue_fields: list[RequiredField]
    field_content_note: str
    figure_14_note: str
    selection_rules_stated: list[SelectionRule]
    currency: str = Field(examples=["KRW"])
    domains: list[Domain]


_CACHED: Final[Responses] = {
    200: {"headers": {"ETag": {"schema": {"type": "string"}}}},
    304: {"description": "not changed since the `ETag` in `If-None-Match`"},
}
Known = Annotated[str | None, Header(alias="If-None-Match", description="an `ETag` of before")]

router = Router(tags=["catalogue"])


@cache
def whole() -> Catalogue:
    """The menu board with the cost rows of every service."""
    board = catalogue.menu_board()
    domains = [
        {**domain, "services": [_with_costs(each) for each in domain["services"]]}
        for domain in board["domains"]
    ]
    currency = catalogue.cost_table()["currency"]
    return Catalogue.model_validate({**board, "domains": domains, "currency": currency})


def find_service(key: str) -> ServiceInFull:
    """One service by id or slug; raises NotFound."""
    board = catalogue.menu_board()
    for domain in board["domains"]:
        for each in domain["services"]:
            if key in (each["id"], each["slug"]):
                return ServiceInFull.model_validate(
                    {
                        **_with_costs(each),
                        "domain": domain["id"],
                        "field_content_note": board["field_content_note"],
                    }
                )
    raise NotFound(f"no service {key!r} on the menu board")


def _with_costs(service: catalogue.Document) -> dict[str, Any]:
    return {**service, "costs": catalogue.cost_rows(service)}


def _cached(document: BaseModel, known: str | None) -> Response:
    """The document with its ETag, or 304 for a client that has it."""
    body = document.model_dump_json().encode()
    etag = f'"{sha256(body).hexdigest()[:32]}"'
    listed = [each.strip().removeprefix("W/") for each in (known or "").split(",")]
    if etag in listed or "*" in listed:
        return Response(status_code=304, headers={"ETag": etag})
    return Response(body, media_type="application/json", headers={"ETag": etag})


@router.get(
    "/catalogue",
    summary="The menu board",
    response_model=Catalogue,
    responses=_CACHED,
    dependencies=[needs("catalogue:read")],
)
async def _catalogue(if_none_match: Known = None) -> Response:
    return _cached(whole(), if_none_match)


@router.get(
    "/catalogue/services/{service}",
    dependencies=[needs("catalogue:read")],
    summary="One service of the menu board",
    response_model=ServiceInFull,
    responses={**_CACHED, **MISSING},
)
async def _service(
    service: Annotated[
        str, Path(pattern="^[A-Za-z0-9_-]{1,100}$", examples=["SEC-02"], description="id or slug")
    ],
    if_none_match: Known = None,
) -> Response:
    return _cached(find_service(service), if_none_match)
