"""The outcomes board: whether each pilot worked, side by side."""

from fastapi import Request
from fastapi.responses import HTMLResponse

from services.api.access.guard import Router, needs
from services.api.deps import Db
from services.api.resources.outcomes import outcomes
from services.api.resources.pilots import pilots
from services.api.resources.sites import sites
from services.api.web.choice import choice
from services.api.web.evidence import by_metric
from services.api.web.render import ALL, page

router = Router(include_in_schema=False)


@router.get("/outcomes", dependencies=[needs("outcome:read")])
async def _board(request: Request, connection: Db) -> HTMLResponse:
    places = {each.key: each for each in (await sites(connection, page=ALL)).items}
    chosen = choice(request.query_params.get("site"), list(places))
    found = (await outcomes(connection, site_key=chosen, page=ALL)).items
    rows = []
    for pilot in (await pilots(connection, site_key=chosen, page=ALL)).items:
        own = [each for each in found if each.pilot_id == pilot.id]
        rows.append((pilot, places[pilot.site], by_metric(own)))
    return page(request, "outcomes_board.html", rows=rows, sites=places.values(), chosen=chosen)
