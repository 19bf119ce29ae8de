"""The OpenAPI document is the contract: what it does not name is refused."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError

PREFIX: Final = "/v1"  # a route knows its path below it


def operations(request: Request) -> Mapping[str, Any]:
    """Method → operation of the path that was asked for; empty outside the document."""
    route = request.scope.get("route")
    paths: Mapping[str, Any] = request.app.openapi()["paths"]
    found: Mapping[str, Any] = paths.get(PREFIX + route.path_format, {}) if route else {}
    return found


def require_known_parameters(request: Request) -> None:
    """Raise RequestValidationError for a misspelt filter, which would else answer everything.

    Pages and probes may be asked with what they like.
    """
    operation = operations(request).get(request.method.lower())
    if operation is None or not request.url.path.startswith(f"{PREFIX}/"):
        return
    named = operation.get("parameters", [])
    known = {each["name"] for each in named if each["in"] == "query"}
    unknown = dict.fromkeys(name for name in request.query_params if name not in known)
    if unknown:
        told = f"no such parameter; known: {', '.join(sorted(known)) or 'none'}"
        raise RequestValidationError(
            [{"type": "unknown", "loc": ("query", name), "msg": told} for name in unknown]
        )
