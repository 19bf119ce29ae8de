"""One device: how it does, its health, its charts, and its raw messages beside their values."""

from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse

from services.api.access.guard import Router, needs
from services.api.access.visit import Visit
from services.api.deps import Visitor
from services.api.listing import Page, page_after
from services.api.placed import place_of
from services.api.problem import NotFound
from services.api.resources.devices import Device, find_device
from services.api.resources.events import events
from services.api.resources.findings import findings
from services.api.resources.latest import Latest, latest
from services.api.resources.pilots import find_pilot
from services.api.resources.rejects import rejects
from services.api.resources.sites import find_site
from services.api.resources.uplinks import uplinks
from services.api.web import flow_words, series, trace
from services.api.web.area import areas, of_areas
from services.api.web.findings_page import finding_words
from services.api.web.frames import frames
from services.api.web.render import ALL, missing, page
from services.api.web.series import view_of
from services.api.web.status import alarms, capacity, present_of, tiles

SHOWN_MESSAGES = 20
TOLD = ("event", "uplink", "reject")

router = Router(include_in_schema=False)


@router.get("/devices/{device_id:number}", dependencies=[needs("device:read")])
async def _device(request: Request, visit: Visitor, device_id: int) -> HTMLResponse:
    connection = visit.connection
    now = datetime.now(UTC)
    try:
        device = await find_device(connection, min(device_id, 2**31 - 1))
    except NotFound:
        return missing(request)
    asked = request.query_params
    # All of its pilot: a simulated device is silent only when others were heard since.
    together = await latest(
        connection,
        now,
        site_key=device.site,
        pilot_key=device.pilot,
        device_key=None if device.pilot else device.key,
        silent=True,
        page=ALL,
    )
    newest = [row for row in together.items if row.device_id == device.id]
    pilot = await find_pilot(connection, device.pilot_id) if device.pilot_id else None
    described = (pilot.kind_description or {}).get("panels", []) if pilot else []
    # First the panels of its pilot, then one for whatever else it reports.
    described = [*described, *([] if _has_all(described) else [{"property": series.EVERY}])]
    view = view_of(asked, device.origin, newest, now)
    found = (await findings(connection, device_id=device.id, page=Page(50))).items
    told = await _told(visit, device, page_after(SHOWN_MESSAGES, asked.get("before")), newest)
    if "reject" in told["may"]:
        since = now - trace.PERIODS["7d"]
        told["trace"] = await trace.of_device(connection, device, now, since)
    return page(
        request,
        "device.html",
        device=device,
        pilot=pilot,
        site=await find_site(connection, device.site),
        now=now,
        tiles=tiles([device], together.items),
        areas=areas(newest),
        of_areas=of_areas(newest),
        present=present_of(together.items),
        capacity=capacity(pilot.params if pilot else {}),
        alarms=alarms(found),
        view=view,
        panels=await series.panels(
            connection, described, newest, view, pilot.params if pilot else {}
        ),
        findings=found,
        words=await finding_words(connection),
        flow=flow_words,
        **told,
    )


async def _told(visit: Visit, device: Device, which: Page, newest: list[Latest]) -> dict[str, Any]:
    """Raw messages, refusals and events, for who may see them; that they were seen is written."""
    connection = visit.connection
    may = [each for each in TOLD if visit.may(f"{each}:read", device.site)]
    told: dict[str, Any] = {"may": may}
    if "event" in may:
        told["events"] = (await events(connection, device.id, page=Page(30))).items
    if not {"uplink", "reject"} <= {*may}:
        return told
    site_id = (await place_of(connection, device.id)).site_id
    await visit.record("read", f"device/{device.id}/uplinks", site_id=site_id)
    await visit.record("read", f"device/{device.id}/rejects", site_id=site_id)
    messages = await uplinks(connection, device.id, encoding="hex", page=which)
    refused = (await rejects(connection, device.id, page=Page(50))).items
    told["frames"] = await frames(connection, messages.items, newest, refused)
    return {**told, "older": messages.next, "rejects": refused}


def _has_all(described: list[dict[str, str]]) -> bool:
    return any(each["property"] == series.EVERY for each in described)
