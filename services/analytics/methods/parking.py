"""States and counts of parking spaces → stays, and time spent, whatever the messages were for."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Stays(NamedTuple):
    """Stays (n,) in order, apart from each other. start, stop: s; stop is inf while one lasts.

    arrived, departed: whether its beginning and end were seen. A start that was not seen is the
    first moment known occupied; a stop that was not is where the state ceased to be known.
    """

    start: Floats
    stop: Floats
    arrived: Flags
    departed: Flags


def stays(
    time: Floats, occupied: Flags, *, until: float, hold: float, merge: float, shortest: float
) -> Stays:
    """Stays in one space from its state (n,) at time (n,), s ascending and distinct.

    A state holds until the next reading, for at most `hold` s; then it is unknown. until: the
    present, s. Vacancies shorter than `merge` s between two stays are noise, then stays shorter
    than `shortest` s, both ends of which were seen. Repeated states change nothing.
    Source of the noise rules: usual for on-street sensors, merge 60-120 s, shortest 60 s.
    """
    if not len(time):
        nothing, none = np.empty(0), np.empty(0, dtype=bool)
        return Stays(nothing, nothing, none, none)
    known = np.diff(time) <= hold  # from each reading to the next
    first = occupied & np.append(True, ~(occupied[:-1] & known))
    last = occupied & np.append(~(occupied[1:] & known), True)
    arrived = first & np.append(False, known)
    departed = last & np.append(known, False)
    ceased = time + hold
    if ceased[-1] > until:
        ceased[-1] = np.inf
    left = np.where(departed, np.append(time[1:], np.inf), ceased)
    found = Stays(time[first], left[last], arrived[first], departed[last])
    return _without_short(_merged(found, merge), shortest)


def _merged(found: Stays, merge: float) -> Stays:
    seen = found.departed[:-1] & found.arrived[1:]
    joined = seen & (found.start[1:] - found.stop[:-1] < merge)
    first = np.append(True, ~joined)[: len(found.start)]
    last = np.append(~joined, True)[: len(found.start)]
    return Stays(found.start[first], found.stop[last], found.arrived[first], found.departed[last])


def _without_short(found: Stays, shortest: float) -> Stays:
    kept = ~(found.arrived & found.departed) | (found.stop - found.start >= shortest)
    return Stays(found.start[kept], found.stop[kept], found.arrived[kept], found.departed[kept])


def lengths(time: Floats, hold: float) -> Floats:
    """How long each reading (n,) is the newest word on its space, at most `hold` s each."""
    return np.minimum(np.diff(time, append=np.inf), hold)


class Spans(NamedTuple):
    """Spans (n,) of some weight: start and length in s, the length of the last may be inf."""

    start: Floats
    length: Floats
    weight: Floats


def elapsed(edges: Floats, spans: Spans) -> Floats:
    """Seconds of spans that lie before each edge (m,), each times its weight; spans are in order
    and apart from each other."""
    start, length, weight = spans
    if not len(start):
        return np.zeros(len(edges))
    before = np.append(0.0, np.cumsum(length[:-1] * weight[:-1]))
    place = np.searchsorted(start, edges, side="right") - 1
    inside = np.minimum(edges - start[place], length[place]) * weight[place]
    return np.where(place >= 0, before[place] + inside, 0.0)


def together(spans: Sequence[Spans]) -> tuple[Floats, Floats]:
    """When the summed weight of all spans changes, s (n,) ascending and distinct, and to what."""
    edges = [each.start for each in spans] + [each.start + each.length for each in spans]
    steps = [each.weight for each in spans] + [-each.weight for each in spans]
    time, step = (np.concatenate([np.empty(0), *parts]) for parts in (edges, steps))
    order = np.argsort(time, kind="stable")
    time, total = time[order], np.cumsum(step[order])
    last = np.append(time[1:] != time[:-1], True)[: len(time)] & np.isfinite(time)
    return time[last], total[last]
