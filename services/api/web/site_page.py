"""One site: its pilots and how they do, what is silent, what was found, every device."""

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
from services.api.resources.pilots import pilots
from services.api.resources.sites import find_site
from services.api.web import overview
from services.api.web.findings_page import finding_words
from services.api.web.render import ALL, missing, page

router = Router(include_in_schema=False)


@router.get("/sites/{key}", dependencies=[needs("site:read")])
async def _site(request: Request, connection: Db, key: str) -> HTMLResponse:
    now = datetime.now(UTC)
    try:
        site = await find_site(connection, key.replace("\0", " "))  # no text for PostgreSQL
    except NotFound:
        return missing(request)
    active = (await findings(connection, site_key=key, active=True, page=ALL)).items
    [place] = overview.places(
        [site],
        (await pilots(connection, site_key=key, page=ALL)).items,
        (await devices(connection, site_key=key, page=ALL)).items,
        (await latest(connection, now, site_key=key, silent=True, page=ALL)).items,
        active,
    )
    return page(
        request,
        "site.html",
        place=place,
        site=site,
        findings=(await findings(connection, site_key=key, page=Page(20))).items,
        words=await finding_words(connection),
        feedback=await feedback_summary(connection, site_key=key),
    )
