"""For admins: who did what, from where and why, and whether that record is sealed."""

from collections.abc import Mapping
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from sqlalchemy import select

from services.api.access.guard import Router, needs
from services.api.deps import Visitor
from services.api.listing import page_after
from services.api.resources.audit import entries
from services.api.web.render import page
from shared.db.tables import site

SHOWN = 100
_ACTIONS = ("sign_in", "sign_out", "create", "update", "revoke", "rotate", "read", "export")

router = Router(include_in_schema=False)


@router.get("/admin/audit", dependencies=[needs("audit:read")])
async def _audit(request: Request, visit: Visitor) -> HTMLResponse:
    asked = request.query_params
    chosen = {name: _said(asked.get(name)) for name in ("actor", "action", "object")}
    found = await entries(
        visit,
        actor=chosen["actor"],
        action=chosen["action"],
        about=chosen["object"],
        page=page_after(SHOWN, asked.get("after")),
    )
    places = await visit.connection.execute(select(site.c.id, site.c.key))
    return page(
        request,
        "audit.html",
        items=found.items,
        next=found.next,
        chosen=chosen,
        actions=_ACTIONS,
        file=urlencode({"format": "csv", "limit": 10_000, **_given(chosen)}),
        places={number: key for number, key in places},
    )


def _given(chosen: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in chosen.items() if value}


def _said(text: str | None) -> str | None:
    """What a reader typed, as far as the database can look for it."""
    return "".join(sign for sign in text or "" if sign.isprintable())[:200] or None
