"""Hashing passwords: slow on purpose, so a few at once, and no more waiting than is bearable."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, ParamSpec, TypeVar

from shared.http.refusal import Refused

Given = ParamSpec("Given")
Made = TypeVar("Made")
AT_ONCE: Final = 2  # each takes 64 MiB and one core for a while
WAITING: Final = 20
_LATER: Final = {"Retry-After": "5"}


class Hashing:
    """The queue before the hash function, of one application."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._inside = 0

    async def run(
        self, act: Callable[Given, Made], *given: Given.args, **more: Given.kwargs
    ) -> Made:
        """Act in a thread when it is this one's turn; raises Refused when too many wait."""
        if self._inside >= AT_ONCE + WAITING:
            told = "too many people sign in at this moment; try again in a few seconds"
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, told, _LATER)
        self._inside += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(act, *given, **more)
        finally:
            self._inside -= 1
