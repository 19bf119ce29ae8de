"""Spans in which a device that was due to send was not heard for too long."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple


class Silence(NamedTuple):
    """Seconds since 1970: from the last reading, or the beginning of service, to the next reading
    or the end of service."""

    start: float
    end: float


def silences(
    heard: Sequence[float], served: Sequence[tuple[float, float]], limit_s: float
) -> Iterator[Silence]:
    """Gaps longer than `limit_s` in each span of service, in order of time.

    heard: times of readings, ascending; served: spans (start, end), ascending and apart, that
    end at the present at the latest. All in seconds since 1970.
    """
    for start, end in served:
        points = [start, *(moment for moment in heard if start < moment < end), end]
        yield from (Silence(a, b) for a, b in pairwise(points) if b - a > limit_s)
