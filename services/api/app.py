"""The HTTP application: one pool, the resources, the live stream and the pages."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final

from fastapi import APIRouter, Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp

from services.api import live, problem, resources, stream
from services.api.contract import PREFIX, known_parameters
from services.api.gate import refusal
from services.api.gate.gate import Gate
from services.api.gate.limits import Limits
from services.api.head import Head
from services.api.problem import BUSY, DOWN, REFUSED, Fault, Problem
from services.api.web import pages
from shared.db.engine import async_engine
from shared.db.session import API_READ, API_WRITE
from shared.settings import Api, Database

TITLE: Final = "Living lab"
DESCRIPTION: Final = """
Sensors and citizens in, pilot evidence out. Everything here is read-only, but for
what people do about findings.

Lists are `{"items": [...], "next": cursor}`; spans of time are half-open, `from <= t < to`, in
RFC 3339 with an offset; every number comes with its unit, every item with its *origin*
(measured, recorded or simulated); errors are RFC 9457 problems; what is not known is null;
a query parameter that is not known is refused.
"""


class Application(FastAPI):
    """The framework's, behind the gate: also what its own middleware answers passes there."""

    def build_middleware_stack(self) -> ASGIApp:
        return Gate(super().build_middleware_stack(), self.state.api, self.state.limits)


def create_app(
    database: Database,
    *,
    monitor_url: str | None = None,
    finding_actions: bool = False,
    api: Api | None = None,
) -> FastAPI:
    """The application. monitor_url: where a NATS broker tells what is still pending;
    finding_actions: whoever gets here may acknowledge and close findings."""
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
    app.state.database = database
    app.state.monitor_url = monitor_url
    app.state.finding_actions = finding_actions
    app.state.live = live.Hub()
    app.state.api = api or Api()
    app.state.limits = Limits.of(app.state.api)
    problem.install(app)
    app.add_exception_handler(refusal.Refused, refusal.answered)
    app.add_middleware(Head)
    for prefix, router in _routers():
        # Probes may add what they like; a misspelt filter must not pass for an answer.
        strict = [Depends(known_parameters)] if prefix == PREFIX else []
        app.include_router(
            router, prefix=prefix, responses={**REFUSED, **BUSY, **DOWN}, dependencies=strict
        )
    pages.install(app)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    database: Database = app.state.database
    reader = async_engine(database, API_READ)
    app.state.writer = async_engine(database, API_WRITE, pool=(database.pool + 1) // 2)
    # Read-only at the database too: no other route can write by mistake.
    app.state.engine = reader.execution_options(postgresql_readonly=True)
    try:
        async with app.state.live.following(database, app.state.engine):
            yield
    finally:
        await reader.dispose()
        await app.state.writer.dispose()


def _routers() -> Iterator[tuple[str, APIRouter]]:
    """Every router of services/api/resources, below /v1 unless its module says otherwise."""
    for module in iter_modules(resources.__path__, f"{resources.__name__}."):
        found = import_module(module.name)
        yield getattr(found, "PREFIX", PREFIX), found.router
    yield PREFIX, stream.router


def _document(app: FastAPI) -> dict[str, Any]:
    """OpenAPI with our problem in place of the framework's own error models."""
    if app.openapi_schema is None:
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
        app.openapi_schema = document
    return app.openapi_schema
