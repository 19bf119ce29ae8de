"""What a reader asked for, if it is on the list: a page never fails on an odd query."""

from collections.abc import Iterable
from typing import TypeVar

Choice = TypeVar("Choice", bound=str)


def choice(asked: str | None, known: Iterable[Choice]) -> Choice | None:
    """The one of `known` that was asked for, or None."""
    return next((each for each in known if each == asked), None)
