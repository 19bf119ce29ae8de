"""QARTOD quality flags and the range test."""

from enum import IntEnum
from typing import Final


class Quality(IntEnum):
    """QARTOD flag (IOOS QARTOD manual): a lower number below 9 is better."""

    GOOD = 1
    NOT_EVALUATED = 2
    SUSPECT = 3
    FAIL = 4
    MISSING = 9


# What means, totals and pilots count as usable.
BEST_UNUSABLE: Final = Quality.SUSPECT

Span = tuple[float, float]


def grade(value: float, hard: Span | None, soft: Span | None) -> Quality:
    """Range test of one value: outside `hard` fails, outside `soft` is suspect.

    value and both spans share one unit; spans are inclusive. No span known: not evaluated.
    """
    if hard is None and soft is None:
        return Quality.NOT_EVALUATED
    if hard is not None and not hard[0] <= value <= hard[1]:
        return Quality.FAIL
    if soft is not None and not soft[0] <= value <= soft[1]:
        return Quality.SUSPECT
    return Quality.GOOD
