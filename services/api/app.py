"""The HTTP application: its pools, the resources, the live stream and the pages."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp

from services.api import live, problem, resources, stream
from services.api.access.guard import Guarded, every, require_guarded
from services.api.access.hashing import Hashing
from services.api.access.known import Known
from services.api.contract import PREFIX
from services.api.gate import refusal
from services.api.gate.gate import Gate
from services.api.gate.limits import Limits
from services.api.head import Head
from services.api.problem import BUSY, DOWN, GUARDED, REFUSED, Fault, Problem
from services.api.web import pages
from shared.db.engine import async_engine
from shared.db.session import API_READ, API_WRITE
from shared.http.refusal import Refused
from shared.settings import Access, Api, Database, load

TITLE: Final = "Living lab"
KEEPERS: Final = 2
OPEN_PATHS: Final = frozenset({"/openapi.json"})  # made by the framework; no row of data is in it
DESCRIPTION: Final = """
Sensors and citizens in, pilot evidence out. Ask with a key, `Authorization: Bearer lab_…`; what
is public needs none. What belongs to a site you have no grant for is not there for you.

Lists are `{"items": [...], "next": cursor}`; spans of time are half-open, `from <= t < to`, in
RFC 3339 with an offset; every number comes with its unit, every item with its *origin*
(measured, recorded or simulated); errors are RFC 9457 problems; what is not known is null;
a query parameter that is not known is refused.
"""


class Application(FastAPI):
    """The framework's, behind the gate: also what its own middleware answers passes there."""

    def build_middleware_stack(self) -> ASGIApp:
        return Gate(super().build_middleware_stack(), self.state.api, self.state.limits)


_DOCUMENT: Final[dict[str, Any]] = {}


def create_app(
    database: Database,
    *,
    monitor_url: str | None = None,
    access: Access | None = None,
    api: Api | None = None,
) -> FastAPI:
    """The application. monitor_url: where a NATS broker tells what is still pending; access: what
    is public, and how long people stay signed in; api: what one client gets at most."""
    app = Application(
        title=TITLE,
        version="1",
        description=DESCRIPTION,
        lifespan=_lifespan,
        redirect_slashes=False,
        docs_url=None,  # the framework's pages load from another host; ours is in web/pages.py
        redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    app.router.route_class = Guarded  # also what is hung on the application itself says who may
    app.state.database = database
    app.state.monitor_url = monitor_url
    app.state.known = Known(access or load(Access))
    app.state.live = live.Hub()
    app.state.hashing = Hashing()
    app.state.api = api or Api()
    app.state.limits = Limits.of(app.state.api)
    problem.install(app)
    app.add_exception_handler(Refused, refusal.answered)
    app.add_middleware(Head)
    for prefix, router in _routers():
        told = {**REFUSED, **BUSY, **DOWN, **GUARDED}
        app.include_router(router, prefix=prefix, responses=told)
    pages.install(app)
    require_guarded(app.routes, OPEN_PATHS)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    database: Database = app.state.database
    # The guard begins their transactions, and finds dead connections: no ping is sent ahead of it.
    app.state.engine = async_engine(database, API_READ, guarded=True)
    writers = (database.pool + 1) // 2
    app.state.writer = async_engine(database, API_WRITE, pool=writers, guarded=True)
    # Beside both: whoever waits for what is written down holds a connection of theirs already.
    app.state.keeper = async_engine(database, API_WRITE, pool=KEEPERS)
    app.state.beside = app.state.keeper.execution_options(postgresql_readonly=True)
    try:
        async with app.state.live.following(database, app.state.beside):
            yield
    finally:
        await app.state.keeper.dispose()
        await app.state.engine.dispose()
        await app.state.writer.dispose()


def _routers() -> Iterator[tuple[str, APIRouter]]:
    """Every router of services/api/resources, below /v1 unless its module says otherwise."""
    for module in iter_modules(resources.__path__, f"{resources.__name__}."):
        found = import_module(module.name)
        yield getattr(found, "PREFIX", PREFIX), found.router
    yield PREFIX, stream.router


def _document(app: FastAPI) -> dict[str, Any]:
    """What is offered, the same by every application of ours: it takes most of a second to make."""
    if not _DOCUMENT:
        _DOCUMENT.update(_described(app))
    return _DOCUMENT


def _described(app: FastAPI) -> dict[str, Any]:
    """OpenAPI with our problem in place of the framework's own error models."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        license_info=app.license_info,
    )
    schemas = document["components"]["schemas"]
    for model in (Problem, Fault):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schema.pop("$defs", None)
        schemas[model.__name__] = schema
    _say_who(app, document)
    return document


def _say_who(app: FastAPI, document: dict[str, Any]) -> None:
    """With each operation the permission it takes, and how to show who asks."""
    document["components"]["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "an API key: lab_…"},
    }
    guarded = {
        (route.path_format, method.lower()): route.permission
        for route in every(app.routes)
        if isinstance(route, Guarded) and route.include_in_schema
        for method in route.methods or ()
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            own = (path.removeprefix(PREFIX), method)  # a route of a resource knows no prefix
            permission = guarded[own if own in guarded else (path, method)]
            if permission:
                operation["security"] = [{"key": []}]
                operation["x-permission"] = permission
