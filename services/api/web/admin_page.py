"""For admins: who may come in, with which role where, and every key."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, get_args

from fastapi import Request
from fastapi.responses import HTMLResponse

from services.api.access import own_page
from services.api.access.guard import Router, needs
from services.api.access.visit import Visit
from services.api.deps import Visitor
from services.api.problem import NotFound
from services.api.resources import keys, users
from services.api.resources.sites import sites
from services.api.web.render import ALL, page
from shared.db.access import AccessRefused
from shared.domain.permission import GRANTED, Role

router = Router(include_in_schema=False)


@router.get("/admin", dependencies=[needs("user:manage")])
async def _admin(request: Request, visit: Visitor) -> HTMLResponse:
    return await _shown(request, visit)


@router.post("/admin/users", dependencies=[needs("user:manage")])
async def _add(request: Request, visit: Visitor) -> HTMLResponse:
    said = await own_page.form(request)
    name, machine = said.get("name", "").strip(), said.get("machine") == "yes"
    roles: list[Role] = [each for each in GRANTED if each == said.get("role")]
    try:
        await users.add(visit, name, roles, said.get("sites", "").split(), machine=machine)
        token = None if machine else await users.link(visit, request.app.state.known, name)
    except AccessRefused as error:
        return await _refused(request, visit, "create", error)
    return await _shown(request, visit, HTTPStatus.CREATED, link=token, name=name)


@router.post("/admin/users/{name}/link", dependencies=[needs("user:manage")])
async def _link(request: Request, visit: Visitor, name: str) -> HTMLResponse:
    try:
        token = await users.link(visit, request.app.state.known, name.replace("\0", " "))
    except AccessRefused as error:
        return await _refused(request, visit, "create", error)
    return await _shown(request, visit, HTTPStatus.CREATED, link=token, name=name)


@router.post("/admin/users/{name}/{what}", dependencies=[needs("user:manage")])
async def _set(request: Request, visit: Visitor, name: str, what: str) -> HTMLResponse:
    try:
        if what not in ("disable", "enable"):
            raise AccessRefused("disable or enable")
        await users.set_disabled(visit, name.replace("\0", " "), disabled=what == "disable")
    except AccessRefused as error:
        return await _refused(request, visit, "update", error)
    return await _shown(request, visit)


@router.post("/admin/keys/{prefix}/revoke", dependencies=[needs("key:manage")])
async def _revoke(request: Request, visit: Visitor, prefix: str) -> HTMLResponse:
    try:
        await keys.end(visit, prefix.replace("\0", " "))
    except NotFound as error:
        return await _refused(request, visit, "revoke", error)
    return await _shown(request, visit)


async def _refused(request: Request, visit: Visit, action: str, error: Exception) -> HTMLResponse:
    await visit.record(action, "access", outcome="refused")
    return await _shown(request, visit, HTTPStatus.UNPROCESSABLE_ENTITY, refused=str(error))


async def _shown(
    request: Request, visit: Visit, status: HTTPStatus = HTTPStatus.OK, **facts: Any
) -> HTMLResponse:
    answer = page(
        request,
        "admin.html",
        status,
        **{"link": None, "name": None, "refused": None, **facts},
        people=await users.everybody(visit),
        keys=await keys.visible(visit),
        roles=[each for each in get_args(Role) if each in GRANTED],
        sites=(await sites(visit.connection, page=ALL)).items,
        now=datetime.now(UTC),
        base=request.app.state.api.public_url,
    )
    answer.headers["Cache-Control"] = "no-store"  # a link may stand in it
    return answer
