"""An error as RFC 9457 tells it, where no framework makes one."""

import json
from http import HTTPStatus
from typing import Final

MEDIA_TYPE: Final = "application/problem+json"


def document(status: HTTPStatus, detail: str, instance: str = "") -> bytes:
    """The body of an answer; instance: the path that was asked for."""
    told = {"type": "about:blank", "title": status.phrase, "status": int(status)}
    return json.dumps({**told, "detail": detail, "instance": instance, "errors": []}).encode()
