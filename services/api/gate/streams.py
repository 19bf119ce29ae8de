"""How many live streams are open: in all, and for each key."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

from shared.http.refusal import Refused

_LATER: Final = {"Retry-After": "30"}


class Streams:
    """Counts what is open; a key is an address, or a principal."""

    def __init__(self, *, most: int, each: int) -> None:
        self._most = most
        self._each = each
        self._open: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._open.total()

    @contextmanager
    def held(self, key: str) -> Iterator[None]:
        """Count one stream of `key` while the block lasts; raises Refused when there are enough."""
        if self._open[key] >= self._each:
            told = f"{self._each} live streams are open from here already; close one"
            raise Refused(HTTPStatus.TOO_MANY_REQUESTS, told, _LATER)
        if len(self) >= self._most:
            told = "as many live streams are open as this server has; ask /v1/latest meanwhile"
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, told, _LATER)
        self._open[key] += 1
        try:
            yield
        finally:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]
