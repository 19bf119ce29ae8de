"""The pages: the same queries as the JSON routes, shown to people."""

from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from services.api import problem
from services.api.access.credentials import drop_session
from services.api.access.guard import OPEN, Router, needs
from services.api.deps import Db
from services.api.resources.devices import devices
from services.api.resources.findings import findings
from services.api.resources.latest import latest
from services.api.resources.pilots import Pilot, pilots
from services.api.resources.sites import sites
from services.api.web import (
    account_page,
    admin_page,
    audit_page,
    device_page,
    findings_page,
    flow_page,
    labels,
    outcomes_page,
    overview,
    pilot_page,
    sign_in_page,
    site_page,
)
from services.api.web.render import ALL, STATIC, failed, missing, page
from shared import catalogue

# Below these a program asks, and is told in JSON.
_FOR_PROGRAMS = ("/v1/", "/static/", "/openapi.json", "/healthz", "/metrics")

PAGES = (
    *(site_page, pilot_page, device_page, findings_page, outcomes_page),
    flow_page,
    *(sign_in_page, account_page, admin_page, audit_page),
)
router = Router(include_in_schema=False)


def install(app: FastAPI) -> None:
    """Add every page, the files they need, and what is shown where a page cannot be."""
    for each in PAGES:
        app.include_router(each.router)
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(404, _unknown)
    for kind in problem.STATUS:
        app.add_exception_handler(kind, _failed)


async def _unknown(request: Request, error: Exception) -> Response:
    if _for_programs(request):
        return await problem.from_framework(request, error)
    return missing(request)


async def _failed(request: Request, error: Exception) -> Response:
    told = await problem.from_table(request, error)
    if _for_programs(request):
        return told
    if isinstance(error, problem.Unauthenticated):
        return _to_sign_in(request)
    if told.status_code not in labels.FAILED:
        return told
    return failed(request, HTTPStatus(told.status_code))


def _to_sign_in(request: Request) -> Response:
    """Sign in first, then back to where one wanted to go."""
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    part = "hx-request" in request.headers  # a page that renews a part of itself
    wanted = asked if request.method == "GET" and not part else _shown_page(request)
    where = f"/sign-in?{urlencode({'next': wanted})}"
    answer = (
        Response(status_code=HTTPStatus.NO_CONTENT, headers={"HX-Redirect": where})
        if part
        else RedirectResponse(where, HTTPStatus.SEE_OTHER)
    )
    answer.headers["Cache-Control"] = "no-store"
    drop_session(request, answer)  # it was none, or is none any more
    return answer


def _shown_page(request: Request) -> str:
    """The page whose part was asked for, or the map."""
    try:
        parts = urlsplit(request.headers.get("hx-current-url", ""))
    except ValueError:  # no address
        return "/"
    return sign_in_page.within(f"{parts.path}?{parts.query}" if parts.query else parts.path)


def _for_programs(request: Request) -> bool:
    return f"{request.url.path}/".startswith(tuple(f"{p.rstrip('/')}/" for p in _FOR_PROGRAMS))


@router.get("/", dependencies=[needs("site:read")])
async def _map(request: Request, connection: Db, site: str | None = None) -> HTMLResponse:
    now = datetime.now(UTC)
    every_site = (await sites(connection, page=ALL)).items
    chosen = next((each for each in every_site if each.key == site), None)
    places = overview.places(
        [chosen] if chosen else every_site,
        (await pilots(connection, page=ALL)).items,
        (await devices(connection, page=ALL)).items,
        (await latest(connection, now, silent=True, page=ALL)).items,
        (await findings(connection, active=True, page=ALL)).items,
    )
    return page(request, "map.html", places=places, sites=every_site, chosen=chosen)


@router.get("/docs", dependencies=[OPEN])
async def _docs(request: Request) -> HTMLResponse:
    return page(request, "docs.html")


@router.get("/catalogue", dependencies=[needs("catalogue:read")])
async def _catalogue(request: Request, connection: Db) -> HTMLResponse:
    running: dict[str, list[Pilot]] = {}
    for pilot in (await pilots(connection, page=ALL)).items:
        known = catalogue.service(pilot.service)
        if known:
            running.setdefault(known["id"], []).append(pilot)
    return page(
        request,
        "catalogue.html",
        board=catalogue.menu_board(),
        costs=catalogue.cost_table(),
        cost_rows=catalogue.cost_rows,
        running=running,
    )
