"""One pilot: how its devices do now, its charts, findings and outcomes."""

from datetime import UTC, datetime

from fastapi import Request
from fastapi.responses import HTMLResponse

from services.api.access.guard import Router, needs
from services.api.deps import Db
from services.api.listing import Page
from services.api.problem import NotFound
from services.api.resources.devices import devices
from services.api.resources.feedback import feedback_summary
from services.api.resources.findings import findings
from services.api.resources.latest import latest
from services.api.resources.outcomes import outcomes
from services.api.resources.pilots import find_pilot
from services.api.resources.sites import find_site
from services.api.web import series
from services.api.web.area import areas, of_areas
from services.api.web.evidence import by_metric
from services.api.web.findings_page import finding_words
from services.api.web.render import ALL, missing, page
from services.api.web.series import view_of
from services.api.web.status import alarms, capacity, present_of, tiles

router = Router(include_in_schema=False)


@router.get("/pilots/{pilot_id:number}", dependencies=[needs("reading:read")])
async def _pilot(request: Request, connection: Db, pilot_id: int) -> HTMLResponse:
    now = datetime.now(UTC)
    try:
        pilot = await find_pilot(connection, min(pilot_id, 2**31 - 1))
    except NotFound:
        return missing(request)
    at, key = pilot.site, pilot.key
    here = (await devices(connection, site_key=at, pilot_key=key, page=ALL)).items
    newest = (
        await latest(connection, now, site_key=at, pilot_key=key, silent=True, page=ALL)
    ).items
    active = (await findings(connection, site_key=at, pilot_key=key, active=True, page=ALL)).items
    found = await findings(connection, site_key=at, pilot_key=key, page=Page(50))
    described = (pilot.kind_description or {}).get("panels", [])
    limits = [each["limits"] for each in described if each.get("limits")]
    view = view_of(request.query_params, pilot.origin, newest, now)
    return page(
        request,
        "pilot.html",
        pilot=pilot,
        site=await find_site(connection, at),
        now=now,
        tiles=tiles(here, newest),
        areas=areas(newest),
        of_areas=of_areas(newest),
        present=present_of(newest),
        moved_days=max((each.shift_s for each in here), default=0) // 86_400,
        unlimited=bool(limits) and not any(pilot.params.get(name) for name in limits),
        capacity=capacity(pilot.params),
        alarms=alarms(active),
        view=view,
        panels=await series.panels(connection, described, newest, view, pilot.params),
        findings=found.items,
        words=await finding_words(connection),
        metrics=by_metric(
            (await outcomes(connection, site_key=at, pilot_key=key, page=Page(200))).items
        ),
        feedback=await feedback_summary(connection, site_key=at),
    )
