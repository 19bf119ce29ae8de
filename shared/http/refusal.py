"""What is refused before, or beside, an application: one exception, answered as a problem."""

import math
from collections.abc import Mapping
from http import HTTPStatus


class Refused(Exception):
    """Not served; `status`, the words of it, and headers such as Retry-After."""

    def __init__(
        self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


def too_many(wait_s: float) -> Refused:
    """Asked too often: come again after so many seconds."""
    return Refused(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too many requests in a short time; Retry-After says when to go on",
        {"Retry-After": str(max(1, math.ceil(wait_s)))},
    )
