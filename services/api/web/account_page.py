"""My account: what I may, my keys, my password."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from pydantic import ValidationError

from services.api.access import own_page, sign_in
from services.api.access.guard import Router, needs
from services.api.access.visit import Visit
from services.api.deps import Visitor
from services.api.problem import NotFound
from services.api.resources import keys
from services.api.web.render import page
from services.api.web.sign_in_page import signed_in
from shared.db.access import AccessRefused
from shared.db.access.keys import ApiKey, listed
from shared.domain.permission import PERMISSIONS
from shared.password import LONGEST, SHORTEST, PasswordRefused

router = Router(include_in_schema=False)


@router.get("/account", dependencies=[needs("self:read")])
async def _account(request: Request, visit: Visitor) -> HTMLResponse:
    return await _shown(request, visit)


@router.post("/account/keys", dependencies=[needs("self:keys")])
async def _make(request: Request, visit: Visitor) -> HTMLResponse:
    said = await own_page.form(request)
    try:
        wanted = keys.Wanted.model_validate(
            {
                "name": said.get("name", ""),
                "scopes": said.get("scopes", "").split() or ["*:read"],
                "sites": said.get("sites", "").split() or None,
                "days": said.get("days") or 90,
            }
        )
        made = await keys.make(visit, wanted)
    except (ValidationError, AccessRefused):
        await visit.record("create", "key", outcome="refused")
        return await _shown(request, visit, HTTPStatus.UNPROCESSABLE_ENTITY, refused="key")
    return await _shown(request, visit, HTTPStatus.CREATED, new=made)


@router.post("/account/keys/{prefix}/rotate", dependencies=[needs("self:keys")])
async def _rotate(request: Request, visit: Visitor, prefix: str) -> HTMLResponse:
    try:
        made = await keys.renew(visit, prefix.replace("\0", " "))
    except (NotFound, AccessRefused):
        await visit.record("rotate", "key", outcome="refused")
        return await _shown(request, visit, HTTPStatus.UNPROCESSABLE_ENTITY, refused="ended")
    return await _shown(request, visit, HTTPStatus.CREATED, new=made)


@router.post("/account/keys/{prefix}/revoke", dependencies=[needs("self:keys")])
async def _revoke(request: Request, visit: Visitor, prefix: str) -> HTMLResponse:
    try:
        await keys.end(visit, prefix.replace("\0", " "))
    except NotFound:
        await visit.record("revoke", "key", outcome="refused")
        return await _shown(request, visit, HTTPStatus.NOT_FOUND, refused="ended")
    return await _shown(request, visit, done="revoked")


@router.post("/account/password", dependencies=[needs("self:keys")])
async def _password(request: Request, visit: Visitor) -> Response:
    said = await own_page.form(request)
    now, name = datetime.now(UTC), visit.actor.name
    try:
        session = await sign_in.change_password(
            request, name, said.get("old", ""), said.get("new", ""), now
        )
    except PasswordRefused:
        return await _shown(request, visit, HTTPStatus.UNPROCESSABLE_ENTITY, refused="new")
    if isinstance(session, sign_in.Refused):
        waits = HTTPStatus.TOO_MANY_REQUESTS if session.wait_s else None
        status = waits or HTTPStatus.UNPROCESSABLE_ENTITY
        return await _shown(request, visit, status, refused="old")
    return signed_in(request, session, "/account")


async def _shown(
    request: Request, visit: Visit, status: HTTPStatus = HTTPStatus.OK, **facts: Any
) -> HTMLResponse:
    answer = page(
        request,
        "account.html",
        status,
        **{"new": None, "done": None, "refused": None, **facts},
        keys=await _mine(visit),
        may=[name for name in PERMISSIONS if visit.may(name)],
        now=datetime.now(UTC),
        shortest=SHORTEST,
        longest=LONGEST,
    )
    answer.headers["Cache-Control"] = "no-store"  # a new key stands in it
    return answer


async def _mine(visit: Visit) -> list[ApiKey]:
    return await visit.connection.run_sync(listed, visit.actor.principal_id)
