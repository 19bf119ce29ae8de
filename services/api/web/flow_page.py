"""Where messages went, why a reading is missing, and taking in after all what was refused."""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from services.api.access import own_page
from services.api.access.guard import Router, needs
from services.api.access.visit import Visit
from services.api.deps import Visitor
from services.api.listing import Range, page_after
from services.api.problem import NotFound
from services.api.refusals import Chosen, find_refusal, refusals
from services.api.resources.devices import devices, find_device
from services.api.resources.ledger import totals
from services.api.resources.refusals import Redrive, redrive
from services.api.resources.reprocess import Reprocess, reprocess
from services.api.resources.sites import sites
from services.api.web import flow_words, trace
from services.api.web.bytes_shown import shown
from services.api.web.choice import choice
from services.api.web.render import ALL, missing, page
from shared.db import ledger
from shared.db import task as tasks

SHOWN: Final = 50
SHOWN_TASKS: Final = 10
USUAL: Final = "7d"

router = Router(include_in_schema=False)


@router.get("/flow", dependencies=[needs("ledger:read")])
async def _flow(request: Request, visit: Visitor) -> HTMLResponse:
    asked = request.query_params.get("device", "").replace("\0", " ").strip()[: trace.LONGEST]
    period = choice(request.query_params.get("period"), trace.PERIODS) or USUAL
    now = datetime.now(UTC)
    since = now - trace.PERIODS[period]
    cells = await visit.connection.run_sync(ledger.sums, since, SHOWN + 1)
    return page(
        request,
        "flow.html",
        asked=asked,
        period=period,
        periods=list(trace.PERIODS),
        now=now,
        cells=cells[:SHOWN],
        more=len(cells) > SHOWN,
        totals=await totals(visit, request.app.state.monitor_url),
        traces=await _traces(visit, asked, now, since) if asked else [],
        may_trace=visit.may("reject:read"),
        **await _shared(visit),
    )


async def _traces(visit: Visit, asked: str, now: datetime, since: datetime) -> list[trace.Trace]:
    """Of each device that may be meant; else of the name itself."""
    if not visit.may("reject:read"):
        return []
    await visit.record("read", "reject")
    known = (await devices(visit.connection, page=ALL)).items
    meant = trace.matching(asked, [d for d in known if visit.may("reject:read", d.site)])
    if not meant:
        return [await trace.of_name(visit.connection, asked, since)]
    return [await trace.of_device(visit.connection, each, now, since) for each in meant]


async def _shared(visit: Visit) -> dict[str, Any]:
    """What every page with refusals needs beside them."""
    found = []
    if visit.may("task:read"):
        found = await visit.connection.run_sync(tasks.newest, limit=SHOWN_TASKS)
    return {
        "tasks": found,
        "flow": flow_words,
        "zones": {each.key: each.zone for each in (await sites(visit.connection, page=ALL)).items},
    }


@router.get("/rejects", dependencies=[needs("reject:read")])
async def _rejects(request: Request, visit: Visitor) -> HTMLResponse:
    await visit.record("read", "reject")
    chosen = _chosen(request.query_params)
    which = page_after(SHOWN, request.query_params.get("after"))
    found = await refusals(visit.connection, chosen, page=which)
    return page(
        request,
        "refusals.html",
        items=found.items,
        next=found.next,
        chosen=chosen,
        now=datetime.now(UTC),
        **await _shared(visit),
    )


def _chosen(asked: Mapping[str, str]) -> Chosen:
    """What was asked for; nothing fits a site, source or device that is not there."""
    said = {
        name: asked.get(name, "").replace("\0", " ").strip()[: trace.LONGEST] or None
        for name in ("site", "source", "device", "reason", "about")
    }
    scope = choice(asked.get("scope"), ("message", "item"))
    about = (said["about"],) if said["about"] else ()
    keys = (said["site"], said["source"], said["device"])
    return Chosen(*keys, reason=said["reason"], scope=scope, about=about, span=Range())  # type: ignore[arg-type]


@router.get("/rejects/{reject_id:uuid}", dependencies=[needs("reject:read")])
async def _reject(request: Request, visit: Visitor, reject_id: UUID) -> HTMLResponse:
    await visit.record("read", f"reject/{reject_id}")
    try:
        found = await find_refusal(visit.connection, str(reject_id))
    except NotFound:
        return missing(request)
    return page(
        request,
        "refusal.html",
        refusal=found,
        shown=shown(found.payload),
        now=datetime.now(UTC),
        **await _shared(visit),
    )


@router.post("/rejects/redrive", dependencies=[needs("reject:redrive")])
async def _redrive(request: Request, visit: Visitor) -> Response:
    form = await own_page.form(request)
    said = {name: form[name] for name in ("site", "reason", "source", "device") if form.get(name)}
    ids = {"reject_ids": form["id"].split()} if form.get("id") else {}
    try:
        asked = Redrive.model_validate({**said, **ids, "dry_run": form.get("dry_run") == "yes"})
        await redrive(visit, asked)
    except (ValidationError, NotFound):
        await visit.record("create", "task", outcome="refused")
        return missing(request)
    return _back(form)


@router.post("/devices/{device_id:number}/reprocess", dependencies=[needs("reading:reprocess")])
async def _reprocess(request: Request, visit: Visitor, device_id: int) -> Response:
    form = await own_page.form(request)
    try:
        one = await find_device(visit.connection, min(device_id, 2**31 - 1))
    except NotFound:
        await visit.record("create", "task", outcome="refused")
        return missing(request)
    dry = form.get("dry_run") == "yes"
    await reprocess(visit, Reprocess(site=one.site, of="device", key=one.key, dry_run=dry))
    return _back(form)


def _back(form: Mapping[str, str]) -> Response:
    """To where one was, at what is now being done."""
    asked = {"device": form["asked"]} if form.get("asked") else {}
    return RedirectResponse(f"/flow?{urlencode(asked)}#tasks", HTTPStatus.SEE_OTHER)
