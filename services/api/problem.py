"""Every error as RFC 9457 problem+json, from one table of exceptions and statuses."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from psycopg.errors import InvalidSchemaName, UndefinedColumn, UndefinedTable
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import InterfaceError, OperationalError, TimeoutError
from starlette.exceptions import HTTPException

from services.api.contract import operations
from shared.db.access import AccessRefused
from shared.password import PasswordRefused

MEDIA_TYPE: Final = "application/problem+json"
BEING_UPGRADED: Final = "the database is being upgraded, or `lab db upgrade` has to be run"
_NO_VIEWS: Final = (UndefinedTable, UndefinedColumn, InvalidSchemaName)
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="livinglab"'}


class NotFound(Exception):
    """No such thing here; the message names it."""


class Unauthenticated(Exception):
    """Nobody we know, and only somebody we know may; the message says how to be known."""


class Forbidden(Exception):
    """Known, and not allowed; the message says why."""


class Conflict(Exception):
    """Somebody else was first, or it has been done already; the message says what is."""


class Unavailable(Exception):
    """Something this process depends on does not answer now; the message names it."""


class Fault(BaseModel):
    """One refused value and where it stands, e.g. query.limit."""

    where: str
    message: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "detail": "no pilot 17",
                "instance": "/v1/pilots/17",
                "errors": [],
            }
        }
    )

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str = Field(description="the path that was asked for")
    errors: list[Fault] = Field(default=[], description="refused values, one by one")


# What a client is told; None means the exception's own words are fit to be shown.
STATUS: Final[Mapping[type[Exception], tuple[HTTPStatus, str | None]]] = {
    NotFound: (HTTPStatus.NOT_FOUND, None),
    Unauthenticated: (HTTPStatus.UNAUTHORIZED, None),
    Forbidden: (HTTPStatus.FORBIDDEN, None),
    AccessRefused: (HTTPStatus.UNPROCESSABLE_ENTITY, None),
    PasswordRefused: (HTTPStatus.UNPROCESSABLE_ENTITY, None),
    Conflict: (HTTPStatus.CONFLICT, None),
    Unavailable: (HTTPStatus.SERVICE_UNAVAILABLE, None),
    OperationalError: (HTTPStatus.SERVICE_UNAVAILABLE, "the database does not answer"),
    InterfaceError: (HTTPStatus.SERVICE_UNAVAILABLE, "the database does not answer"),
    TimeoutError: (HTTPStatus.SERVICE_UNAVAILABLE, "every database connection is in use"),
    Exception: (HTTPStatus.INTERNAL_SERVER_ERROR, "this is our fault and has been logged"),
}


def _document(status: HTTPStatus) -> dict[str, Any]:
    return {
        "description": status.phrase,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


Responses = dict[int | str, dict[str, Any]]
REFUSED: Final[Responses] = {422: _document(HTTPStatus.UNPROCESSABLE_ENTITY)}
MISSING: Final[Responses] = {404: _document(HTTPStatus.NOT_FOUND)}
GARBLED: Final[Responses] = {400: _document(HTTPStatus.BAD_REQUEST)}
UNKNOWN: Final[Responses] = {401: _document(HTTPStatus.UNAUTHORIZED)}
FORBIDDEN: Final[Responses] = {403: _document(HTTPStatus.FORBIDDEN)}
GUARDED: Final[Responses] = {**UNKNOWN, **FORBIDDEN}
TAKEN: Final[Responses] = {409: _document(HTTPStatus.CONFLICT)}
BUSY: Final[Responses] = {429: _document(HTTPStatus.TOO_MANY_REQUESTS)}
DOWN: Final[Responses] = {503: _document(HTTPStatus.SERVICE_UNAVAILABLE)}


def install(app: FastAPI) -> None:
    """Answer every exception of the table, and the framework's own, as a problem."""
    for kind in STATUS:
        app.add_exception_handler(kind, from_table)
    app.add_exception_handler(HTTPException, from_framework)
    app.add_exception_handler(RequestValidationError, _from_validation)


def answer(
    request: Request,
    status: HTTPStatus,
    detail: str,
    *,
    errors: list[Fault] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """One problem as a response."""
    problem = Problem(
        title=status.phrase,
        status=status,
        detail=detail,
        instance=request.url.path,
        errors=errors or [],
    )
    return Response(problem.model_dump_json(), status, headers, MEDIA_TYPE)


async def from_table(request: Request, error: Exception) -> Response:
    """What one of our own exceptions, or any unforeseen one, is told as."""
    if isinstance(getattr(error, "orig", None), _NO_VIEWS):
        return answer(request, HTTPStatus.SERVICE_UNAVAILABLE, BEING_UPGRADED)
    status, words = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    headers = _CHALLENGE if status == HTTPStatus.UNAUTHORIZED else None
    return answer(request, status, str(error) if words is None else words, headers=headers)


async def from_framework(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: no such path, no such method."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if "Allow" in headers:  # the framework names one route's methods; a path may have several
        headers["Allow"] = ", ".join(map(str.upper, operations(request))) or headers["Allow"]
    return answer(request, HTTPStatus(error.status_code), error.detail, headers=headers)


async def _from_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [
        Fault(
            where=".".join(str(step) for step in each["loc"]),
            message=each["msg"].removeprefix("Value error, "),
        )
        for each in error.errors()
    ]
    told = "; ".join(f"{fault.where}: {fault.message}" for fault in faults)
    return answer(request, HTTPStatus.UNPROCESSABLE_ENTITY, told, errors=faults)
