"""What is refused before, or beside, the routes, as an answer."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from services.api import problem
from shared.http.refusal import Refused


def response(refused: Refused, scope: Scope) -> Response:
    """The problem; what stands in the headers of the request cannot reach into it."""
    request = Request({**scope, "headers": []})
    return problem.answer(request, refused.status, refused.detail, headers=refused.headers)


async def answered(request: Request, error: Exception) -> Response:
    """For exceptions raised inside the application."""
    assert isinstance(error, Refused)
    return response(error, request.scope)
