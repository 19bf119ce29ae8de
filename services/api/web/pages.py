"""The pages: the same queries as the JSON routes, shown to people."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final, TypeVar

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from services.api.deps import Db
from services.api.listing import Page
from services.api.problem import NotFound
from services.api.resources.devices import devices
from services.api.resources.feedback import feedback_summary
from services.api.resources.findings import findings
from services.api.resources.latest import Latest, latest
from services.api.resources.outcomes import outcomes
from services.api.resources.pilots import Pilot, PilotInFull, find_pilot, pilots
from services.api.resources.sites import find_site, sites
from services.api.web import overview, series
from services.api.web.evidence import by_metric
from services.api.web.render import STATIC, page
from services.api.web.series import PERIODS, STEPS, View
from services.api.web.status import alarms, tiles
from shared import catalogue

ALL: Final = Page(10_000)
SHOWN_FINDINGS: Final = Page(50)
Choice = TypeVar("Choice", bound=str)

router = APIRouter(include_in_schema=False)


def mount_static(app: FastAPI) -> None:
    """Serve our own and the vendored browser files below /static."""
    app.mount("/static", StaticFiles(directory=STATIC), name="static")


@router.get("/")
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


@router.get("/docs")
async def _docs(request: Request) -> HTMLResponse:
    return page(request, "docs.html")


@router.get("/sites/{key}")
async def _site(request: Request, connection: Db, key: str) -> HTMLResponse:
    now = datetime.now(UTC)
    try:
        site = await find_site(connection, key.replace("\0", " "))  # no text for PostgreSQL
    except NotFound:
        return _missing(request)
    [place] = overview.places(
        [site],
        (await pilots(connection, site_key=key, page=ALL)).items,
        (await devices(connection, site_key=key, page=ALL)).items,
        (await latest(connection, now, site_key=key, silent=True, page=ALL)).items,
        (await findings(connection, site_key=key, active=True, page=ALL)).items,
    )
    return page(request, "site.html", place=place)


@router.get("/pilots/{pilot_id:int}")
async def _pilot(
    request: Request,
    connection: Db,
    pilot_id: int,
    period: str | None = None,
    step: str | None = None,
    device: str | None = None,
) -> HTMLResponse:
    now = datetime.now(UTC)
    try:
        pilot = await find_pilot(connection, min(pilot_id, 2**31 - 1))
    except NotFound:
        return _missing(request)
    site = await find_site(connection, pilot.site)
    at, key = pilot.site, pilot.key
    newest = (
        await latest(connection, now, site_key=at, pilot_key=key, silent=True, page=ALL)
    ).items
    view = View(
        period=_choice(period, PERIODS) or "24h",
        step=_choice(step, STEPS),
        device=device,
        end=_end(pilot, newest, now),
    )
    active = (await findings(connection, site_key=at, pilot_key=key, active=True, page=ALL)).items
    described = (pilot.kind_description or {}).get("panels", [])
    devices_here = (await devices(connection, site_key=at, pilot_key=key, page=ALL)).items
    limits = [each["limits"] for each in described if each.get("limits")]
    return page(
        request,
        "pilot.html",
        pilot=pilot,
        site=site,
        now=now,
        tiles=tiles(devices_here, newest),
        moved_days=max((each.shift_s for each in devices_here), default=0) // 86_400,
        unlimited=bool(limits) and not any(pilot.params.get(name) for name in limits),
        alarms=alarms(active),
        view=view,
        panels=await series.panels(connection, described, newest, view, pilot.params),
        findings=(
            await findings(connection, site_key=at, pilot_key=key, page=SHOWN_FINDINGS)
        ).items,
        metrics=by_metric(
            (await outcomes(connection, site_key=at, pilot_key=key, page=Page(200))).items
        ),
        feedback=await feedback_summary(connection, site_key=at),
    )


@router.get("/catalogue")
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


def _missing(request: Request) -> HTMLResponse:
    return page(request, "missing.html", HTTPStatus.NOT_FOUND)


def _choice(asked: str | None, known: Mapping[Choice, object]) -> Choice | None:
    """What was asked for if it is on the list: a page never fails on an odd query."""
    return next((each for each in known if each == asked), None)


def _end(pilot: PilotInFull, newest: Sequence[Latest], now: datetime) -> datetime:
    """Where charts end: now for measured pilots, else the pilot's own newest value."""
    times = [row.time for row in newest if row.time is not None]
    return now if pilot.origin == "measured" or not times else max(times) + timedelta.resolution
