"""Signing in and out, and the page a one-time link leads to: open to everybody."""

from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from services.api.access import own_page, sign_in
from services.api.access.credentials import drop_session, keep_session, shown
from services.api.access.guard import OPEN, Router
from services.api.access.known import Known
from services.api.web.render import page
from shared.password import LONGEST, SHORTEST, PasswordRefused

router = Router(include_in_schema=False)
_BOUNDS = {"shortest": SHORTEST, "longest": LONGEST}


@router.get("/sign-in", dependencies=[OPEN])
async def _form(request: Request, next: str = "/") -> HTMLResponse:
    return _shown(request, next=within(next))


@router.post("/sign-in", dependencies=[OPEN])
async def _sign_in(request: Request) -> Response:
    own_page.require_own_origin(request)
    said = await own_page.form(request)
    forward = within(said.get("next", "/"))
    now = datetime.now(UTC)
    let_in = await sign_in.by_password(request, said.get("name", ""), said.get("password", ""), now)
    if isinstance(let_in, str):
        return signed_in(request, let_in, forward)
    if let_in.wait_s:
        answer = _shown(
            request, HTTPStatus.TOO_MANY_REQUESTS, next=forward, refused="wait", wait=let_in.wait_s
        )
        answer.headers["Retry-After"] = str(let_in.wait_s)
        return answer
    return _shown(request, HTTPStatus.UNAUTHORIZED, next=forward, refused="wrong")


@router.post("/sign-out", dependencies=[OPEN])
async def _sign_out(request: Request) -> Response:
    before = shown(request)
    if before and before.kind == "session":
        await own_page.require_csrf(request, before.token)
    await sign_in.sign_out(request)
    answer = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
    drop_session(request, answer)
    return answer


@router.get("/sign-in/link", dependencies=[OPEN])
async def _link(request: Request, token: str = "") -> HTMLResponse:
    owner = await sign_in.owner_of_link(request, token, datetime.now(UTC))
    return _welcome(request, owner[1] if owner else None, token)


@router.post("/sign-in/link", dependencies=[OPEN])
async def _by_link(request: Request) -> Response:
    own_page.require_own_origin(request)
    said = await own_page.form(request)
    token, now = said.get("token", ""), datetime.now(UTC)
    try:
        session = await sign_in.by_link(request, token, said.get("password", ""), now)
    except PasswordRefused:
        owner = await sign_in.owner_of_link(request, token, now)
        return _welcome(request, owner[1] if owner else None, token, refused=True)
    if session is None:
        return _welcome(request, None, token)
    return signed_in(request, session, "/")


def signed_in(request: Request, session: str, forward: str) -> Response:
    """On to `forward` with the new session's cookie."""
    known: Known = request.app.state.known
    answer = RedirectResponse(forward, HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
    keep_session(request, answer, session, known.settings.session_hours * 3600)
    return answer


def within(address: str) -> str:
    """An address of ours, or the map for what leads elsewhere, in whatever disguise."""
    plain = address.startswith("/") and "//" not in address.partition("?")[0]
    if not plain or any(not 32 < ord(sign) < 127 or sign == "\\" for sign in address):
        return "/"
    try:
        parts = urlsplit(address)
    except ValueError:
        return "/"
    return "/" if parts.scheme or parts.netloc or parts.path.startswith("/sign-") else address


def _shown(request: Request, status: HTTPStatus = HTTPStatus.OK, **facts: object) -> HTMLResponse:
    return _unkept(page(request, "sign_in.html", status, **{"refused": None, "wait": 0, **facts}))


def _welcome(
    request: Request, name: str | None, token: str, *, refused: bool = False
) -> HTMLResponse:
    status = HTTPStatus.OK if name and not refused else HTTPStatus.UNPROCESSABLE_ENTITY
    if name is None:
        status = HTTPStatus.GONE
    facts = {"name": name, "token": token, "refused": refused, **_BOUNDS}
    # Its address is a secret, which the referrer policy of all pages (same-origin) keeps here;
    # with no-referrer browsers would send the form as from nowhere (Origin: null).
    return _unkept(page(request, "sign_in_link.html", status, **facts))


def _unkept(answer: HTMLResponse) -> HTMLResponse:
    answer.headers["Cache-Control"] = "no-store"
    return answer
