"""The one dependency that knows who asks, whether they may, and which sites they see.

A route names a permission of shared/domain/permission.py; one that names none cannot be made.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.params import Depends as Dependency
from fastapi.routing import APIRoute
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.routing import BaseRoute, Mount

from services.api.access import own_page, transaction
from services.api.access.credentials import Credentials, shown
from services.api.access.known import Known
from services.api.access.visit import Visit, address_of
from services.api.contract import require_known_parameters
from services.api.gate.limits import Limits
from services.api.problem import Forbidden, Unauthenticated
from shared.db.access import actor as actors
from shared.db.access.actor import Actor
from shared.domain.permission import PAGE, PERMISSIONS, covers
from shared.http.refusal import too_many

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
SIGN_IN: Final = "sign in, or send a key: Authorization: Bearer lab_…"
UNKNOWN: Final = "this key or session is unknown, has ended or was revoked"


class UndeclaredRoute(Exception):
    """A route was made that does not say who may use it."""


class Unwritten(Exception):
    """A route did what the audit has to know, and did not tell it: nothing of it is kept."""


class Needs:
    """Lets a request in that may use `permission`, with a connection that sees its sites.

    None: open to everybody, without a connection.
    """

    def __init__(self, permission: str | None) -> None:
        if permission is not None and permission not in PERMISSIONS:
            raise UndeclaredRoute(f"{permission!r} is no permission: add it to PERMISSIONS")
        self.permission = permission

    async def __call__(self, request: Request) -> AsyncIterator[None]:
        if self.permission is None:
            require_known_parameters(request)
            yield
            return
        async with _let_in(request, self.permission) as visit:
            require_known_parameters(request)
            request.state.visit = visit
            yield
            if not visit.written and await _wants_audit(visit, self.permission):
                raise Unwritten(f"{request.method} {request.url.path} told the audit nothing")


def needs(permission: str) -> Dependency:
    """For `dependencies=[…]` of a route: who may use it."""
    # Given back before the answer is sent: a slow reader holds no connection.
    return Dependency(Needs(permission), scope="function")


OPEN: Final = Dependency(Needs(None), scope="function")  # to everybody, without asking who


class Guarded(APIRoute):
    """A route that says who may use it; that is asked first of all."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:
        dependencies: Sequence[Dependency] = more.get("dependencies") or ()
        declared = [each for each in dependencies if isinstance(each.dependency, Needs)]
        if len(declared) != 1:
            raise UndeclaredRoute(f"{path}: name one permission: dependencies=[needs(…)] or [OPEN]")
        others = [each for each in dependencies if each not in declared]
        super().__init__(path, endpoint, **{**more, "dependencies": [*declared, *others]})

    @property
    def permission(self) -> str | None:
        """What it takes; None: open."""
        (found,) = (
            each.dependency.permission
            for each in self.dependencies
            if isinstance(each.dependency, Needs)
        )
        return found


def Router(**more: Any) -> APIRouter:  # noqa: N802 - stands where APIRouter would
    """A router whose routes are all guarded."""
    return APIRouter(route_class=Guarded, **more)


def require_guarded(routes: Iterable[BaseRoute], open_paths: frozenset[str]) -> None:
    """Raise UndeclaredRoute for a route that came in another way."""
    for route in every(routes):
        path = getattr(route, "path", "")
        if not (isinstance(route, Guarded) or path in open_paths or _is_files(route)):
            raise UndeclaredRoute(f"{path}: make it with services.api.access.guard.Router")


def every(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """All routes, with those of included routers."""
    for route in routes:
        included: APIRouter | None = getattr(route, "original_router", None)
        yield from every(included.routes) if included else (route,)


def _is_files(route: BaseRoute) -> bool:
    return isinstance(route, Mount) and route.name == "static"


@asynccontextmanager
async def _let_in(request: Request, permission: str) -> AsyncIterator[Visit]:
    """Open a connection for whoever asks; raises Unauthenticated, Forbidden."""
    known: Known = request.app.state.known
    now, credentials = datetime.now(UTC), shown(request)
    if credentials is None and not known.nobody.may(permission):
        raise Unauthenticated(SIGN_IN)
    writes = request.method not in SAFE
    engine = request.app.state.writer if writes else request.app.state.engine
    async with engine.connect() as connection:
        actor = await recognise(connection, known, credentials, permission, now)
        sites = _sites(actor, permission)
        _require_page(request, actor, writes=writes)
        _count(request, actor)
        if writes and actor.via == "session" and credentials:
            await own_page.require_csrf(request, credentials.token)
        if credentials:
            await _note(request, known, actor, credentials, now)
        visit = Visit(
            actor=actor,
            connection=connection,
            sites=sites,
            credentials=credentials,
            address=address_of(request),
            why=_why(request),
            keeper=request.app.state.keeper,
            writes=writes,
        )
        yield visit
        # Also of reads: a rollback makes the driver prepare all anew.
        await transaction.commit(connection, visit.written if writes else ())


async def recognise(
    connection: AsyncConnection,
    known: Known,
    credentials: Credentials | None,
    permission: str,
    now: datetime,
) -> Actor:
    """Who asks, as of this very moment, and begin a transaction that sees their sites.

    Raises Unauthenticated for credentials that are nobody's.
    """
    actor = known.remembered(credentials, now) if credentials else known.nobody
    seen = actor.sites(permission) if actor else ()
    version = await transaction.begin(connection, seen)
    if version != known.version:
        known.forget(version)
        actor = actor if credentials is None else None
    if actor is None and credentials:
        actor = await connection.run_sync(known.look_up, credentials, now, version)
        if actor is None:
            raise Unauthenticated(UNKNOWN)
        await transaction.rescope(connection, actor.sites(permission))
    assert actor is not None
    return actor


async def still_may(
    app: FastAPI,
    credentials: Credentials | None,
    permission: str,
    sites: frozenset[int] | None,
) -> bool:
    """Whether what was let in with these sites would be let in with them now."""
    known, now = app.state.known, datetime.now(UTC)
    try:
        async with app.state.beside.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            actor = await recognise(connection, known, credentials, permission, now)
    except (Unauthenticated, SQLAlchemyError):  # or nobody can tell: come again, and be asked
        return False
    return actor.sites(permission) == sites


def _sites(actor: Actor, permission: str) -> frozenset[int] | None:
    """The sites where they may; raises Forbidden, or Unauthenticated where signing in may help."""
    sites = actor.sites(permission)
    if sites == frozenset():
        if actor.via == "nobody":
            raise Unauthenticated(SIGN_IN)
        raise Forbidden(f"{actor.name} may not use {permission}")
    return sites


def _require_page(request: Request, actor: Actor, *, writes: bool) -> None:
    """Raise Forbidden for a key that may use this one thing, but not all that stands on a page."""
    if actor.scopes is None or request.scope["route"].include_in_schema:
        return
    name = f"{PAGE}:{'write' if writes else 'read'}"
    if not covers(actor.scopes, name):
        raise Forbidden(f"a page shows several things: a key for it needs the scope {name} or more")


def _count(request: Request, actor: Actor) -> None:
    """Raise Refused for who asks too often, from however many addresses."""
    limits: Limits = request.app.state.limits
    if actor.principal_id is None:  # nobody in particular is counted by address alone
        return
    if wait_s := limits.principals.take(str(actor.principal_id), monotonic()):
        raise too_many(wait_s)


def _why(request: Request) -> str | None:
    """The reason given, as people read it: UTF-8, without what would steer a terminal."""
    raw = request.headers.get("x-reason", "").encode("latin-1")
    said = "".join(sign for sign in raw.decode("utf-8", "replace") if sign.isprintable())
    return said.strip()[:200] or None


async def _wants_audit(visit: Visit, permission: str) -> bool:
    """Whether something was written, or read that is not read in silence."""
    if not visit.writes:
        return PERMISSIONS[permission].audited
    wrote = text("SELECT pg_current_xact_id_if_assigned() IS NOT NULL")
    return bool(await visit.connection.scalar(wrote))


async def _note(
    request: Request, known: Known, actor: Actor, credentials: Credentials, now: datetime
) -> None:
    """Write down at most once a minute that key or session were used."""
    if known.is_noted(actor, now):
        return
    known.drop(credentials)  # so that the next look reads what is written here
    async with request.app.state.keeper.begin() as connection:
        await connection.run_sync(actors.seen, actor, credentials.token, now)
