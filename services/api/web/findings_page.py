"""What was found anywhere, and acting on it: forms that work without JavaScript."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Literal, get_args
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api import handling
from services.api.access import own_page
from services.api.access.guard import Router, needs
from services.api.deps import Db, Visitor
from services.api.listing import page_after
from services.api.problem import Conflict, NotFound
from services.api.resources.finding_actions import Act, act, actions_of
from services.api.resources.findings import Finding, Severity, find_finding, findings
from services.api.resources.pilots import Pilot, pilots
from services.api.resources.sites import Site, sites
from services.api.web import labels
from services.api.web.choice import choice
from services.api.web.render import ALL, missing, page
from shared.db.tables import pilot_kind

SHOWN: Final = 25
Course = Literal["going", "over", "withdrawn"]
_BEYOND: Final = 2**53  # no finding has it
_ACTIVE: Final[Mapping[str, bool]] = {"going": True, "over": False}

_REFUSED: Final[Mapping[type[Exception], tuple[HTTPStatus, str]]] = {
    NotFound: (HTTPStatus.NOT_FOUND, "form"),
    Conflict: (HTTPStatus.CONFLICT, "stands"),
    ValidationError: (HTTPStatus.UNPROCESSABLE_ENTITY, "form"),
}

router = Router(include_in_schema=False)


@dataclass(frozen=True)
class Filters:
    """What the reader wants to see; None: all of it."""

    site: str | None
    pilot: Pilot | None
    kind: str | None
    severity: Severity | None
    state: handling.State | None
    course: Course | None


@dataclass(frozen=True)
class Known:
    """What findings can be about, and the label of each kind."""

    sites: Sequence[Site]
    pilots: Sequence[Pilot]
    words: Mapping[str, str]


async def finding_words(connection: AsyncConnection) -> Mapping[str, str]:
    """Finding kind → its English label (a message id), as the pilot kinds describe them."""
    described = await connection.scalars(select(pilot_kind.c.description))
    own = {each["kind"]: each["label"] for kind in described for each in kind.get("findings", [])}
    return {**labels.FINDING, **own}


@router.get("/findings", dependencies=[needs("finding:read")])
async def _list(request: Request, connection: Db) -> HTMLResponse:
    known = await _known(connection)
    chosen = _filters(request.query_params, known)
    found = await findings(
        connection,
        site_key=chosen.pilot.site if chosen.pilot else chosen.site,
        pilot_key=chosen.pilot.key if chosen.pilot else None,
        kind=chosen.kind,
        severity=chosen.severity,
        state=chosen.state,
        active=_ACTIVE.get(chosen.course or ""),
        undone=chosen.course == "withdrawn",
        page=page_after(SHOWN, request.query_params.get("after")),
    )
    return page(
        request,
        "findings_list.html",
        **await _cards(connection, known, found.items),
        items=found.items,
        next=found.next,
        chosen=chosen,
        sites=known.sites,
        pilots=known.pilots,
    )


@router.get("/findings/{finding_id:number}", dependencies=[needs("finding:read")])
async def _one(request: Request, connection: Db, finding_id: int) -> HTMLResponse:
    return await _shown(request, connection, finding_id)


@router.post("/findings/{finding_id:number}/actions", dependencies=[needs("finding:act")])
async def _act(request: Request, visit: Visitor, finding_id: int) -> Response:
    form = await own_page.form(request)
    try:
        await act(visit, min(finding_id, _BEYOND), Act.model_validate(form))
    except (NotFound, Conflict, ValidationError) as error:
        await visit.record("create", f"finding/{finding_id}/actions", outcome="refused")
        status, why = _REFUSED[type(error)]
        return await _shown(request, visit.connection, finding_id, status, why)
    back = f"/findings?{quote(request.url.query, safe='=&%')}#finding-{finding_id}"
    return RedirectResponse(
        back if form.get("view") == "list" else f"/findings/{finding_id}", HTTPStatus.SEE_OTHER
    )


async def _shown(
    request: Request,
    connection: AsyncConnection,
    finding_id: int,
    status: HTTPStatus = HTTPStatus.OK,
    refused: str | None = None,
) -> HTMLResponse:
    try:
        found = await find_finding(connection, min(finding_id, _BEYOND))
    except NotFound:
        return missing(request)
    cards = await _cards(connection, await _known(connection), [found])
    return page(request, "finding.html", status, finding=found, refused=refused, **cards)


async def _known(connection: AsyncConnection) -> Known:
    return Known(
        sites=(await sites(connection, page=ALL)).items,
        pilots=(await pilots(connection, page=ALL)).items,
        words=await finding_words(connection),
    )


async def _cards(
    connection: AsyncConnection, known: Known, found: Sequence[Finding]
) -> dict[str, Any]:
    """What the card of a finding needs beside it."""
    return {
        "actions": await actions_of(connection, [each.id for each in found]),
        "allowed": handling.ALLOWED,
        "words": known.words,
        "places": {each.key: each for each in known.sites},
        "names": {each.id: each for each in known.pilots},
    }


def _filters(asked: Mapping[str, str], known: Known) -> Filters:
    """What was asked for, as far as it is on a list."""
    return Filters(
        site=choice(asked.get("site"), [each.key for each in known.sites]),
        pilot=next((each for each in known.pilots if str(each.id) == asked.get("pilot")), None),
        kind=choice(asked.get("kind"), list(known.words)),
        severity=choice(asked.get("severity"), get_args(Severity)),
        state=choice(asked.get("state"), get_args(handling.State)),
        course=choice(asked.get("course"), get_args(Course)),
    )
