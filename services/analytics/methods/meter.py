"""Cumulative meter index → volume: jitter, outliers, resets and gaps told apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

JITTER_M3: Final = 0.020  # of 203 backward steps in 92 household meters, 183 were 1-20 L
CONFIRM: Final = 3  # readings on a new level before it is believed
LONG_GAP_S: Final = 3 * 3600.0  # beyond it the timing of the volume is a guess
DRY_S: Final = 3000.0  # an hour less the sending jitter of an hourly meter


@dataclass(frozen=True, slots=True)
class Points:
    """Accepted readings: time (n,) s, index (n,) m3 never falling within a line.

    joined (n,) tells whether the volume since the point before is known: false at the first
    point and where a reset, a replacement or an impossible jump begins a new line.
    """

    time: Floats
    index: Floats
    joined: Flags


class Segments(NamedTuple):
    """Spans (m,) from `start` to `stop` (s), the index (m3) `before` and `after`, and whether
    their difference is a volume."""

    start: Floats
    stop: Floats
    before: Floats
    after: Floats
    joined: Flags

    def ending(self, first: float, past: float) -> "Segments":
        """Those that stop at `first` or later and before `past`."""
        inside = (self.stop >= first) & (self.stop < past)
        return self._replace(
            start=self.start[inside],
            stop=self.stop[inside],
            before=self.before[inside],
            after=self.after[inside],
            joined=self.joined[inside],
        )


class Volumes(NamedTuple):
    """Per span between edges: volume (n,) m3, known (n,), estimated (n,)."""

    volume: Floats
    known: Flags
    estimated: Flags


class Run(NamedTuple):
    """Uninterrupted flow from `start` to `stop` (s), `volume` m3; `open` at the newest point."""

    start: float
    stop: float
    volume: float
    open: bool


def clean(time: Floats, index: Floats, max_flow: float) -> Points:
    """Keep the readings that lie on the meter's line.

    time (n,) s ascending and distinct; index (n,) m3; max_flow m3/h, the meter's overload flow.
    A step back of at most 20 L is jitter: the index waits until it is passed. Any other step
    back, or one forward beyond max_flow, is believed when three readings in succession lie on
    the new line; fewer are dropped as outliers, and at the end of the data they wait.
    """
    step, hours = np.diff(index), np.diff(time) / 3600
    if ((step >= 0) & (step <= max_flow * hours + JITTER_M3)).all():
        joined = np.ones(len(time), dtype=bool)
        joined[:1] = False
        return Points(time, index, joined)
    return _walk(time, index, max_flow)


def _walk(time: Floats, index: Floats, max_flow: float) -> Points:
    kept: list[tuple[float, float, bool]] = []
    pending: list[tuple[float, float]] = []

    def follows(last: tuple[float, float], now: tuple[float, float]) -> bool:
        limit = max_flow * (now[0] - last[0]) / 3600 + JITTER_M3
        return -JITTER_M3 <= now[1] - last[1] <= limit

    for now in zip(time.tolist(), index.tolist(), strict=True):
        if not kept:
            kept.append((*now, False))
        elif follows(kept[-1][:2], now):
            kept.append((now[0], max(kept[-1][1], now[1]), True))
            pending = []
        elif pending and follows(pending[-1], now):
            pending.append((now[0], max(pending[-1][1], now[1])))
            if len(pending) == CONFIRM:
                kept += [(*point, place > 0) for place, point in enumerate(pending)]
                pending = []
        else:
            pending = [now]
    times, values, joined = zip(*kept, strict=True)
    return Points(np.array(times), np.array(values), np.array(joined, dtype=bool))


def volumes(points: Points, edges: Floats) -> Volumes:
    """Volume in each span edges[i] … edges[i+1], the index interpolated linearly at the edges.

    edges (m+1,) s ascending. known: both edges lie on one line. estimated: part of the span lies
    in a gap of more than 3 hours, so the volume was spread over it.
    """
    at, line, _ = _at_edges(points, edges)
    known = (line[:-1] >= 0) & (line[:-1] == line[1:])
    in_gap = np.interp(edges, points.time, _gap_seconds(points))
    return Volumes(np.where(known, np.diff(at), 0.0), known, np.diff(in_gap) > 0)


def totals(points: Points, edges: Floats) -> Volumes:
    """As `volumes`, for long spans: a gap inside does not make their total a guess.

    estimated: an edge itself falls into a gap of more than 3 hours.
    """
    at, line, guessed = _at_edges(points, edges)
    known = (line[:-1] >= 0) & (line[:-1] == line[1:])
    return Volumes(np.where(known, np.diff(at), 0.0), known, guessed[:-1] | guessed[1:])


def _at_edges(points: Points, edges: Floats) -> tuple[Floats, NDArray[np.int64], Flags]:
    """At each edge: index, number of its line (-1: on none), whether inside a long gap."""
    last = len(points.time) - 1
    left = np.searchsorted(points.time, edges, side="right") - 1
    here = np.clip(left, 0, last)
    after = np.clip(left + 1, 0, last)
    exact = (left >= 0) & (points.time[here] == edges)
    between = (left >= 0) & (left < last) & points.joined[after]
    lines = np.cumsum(~points.joined)
    line = np.where(exact | between, lines[here], -1)
    at = np.interp(edges, points.time, points.index)
    long = points.time[after] - points.time[here] > LONG_GAP_S
    return at, line, between & ~exact & long


def _gap_seconds(points: Points) -> Floats:
    """Seconds spent in long gaps up to each point."""
    span = np.diff(points.time, prepend=points.time[:1])
    return np.cumsum(np.where(span > LONG_GAP_S, span, 0.0))


def segments(points: Points) -> Segments:
    """The spans between neighbouring points, n - 1 of them."""
    return Segments(
        points.time[:-1], points.time[1:], points.index[:-1], points.index[1:], points.joined[1:]
    )


def joined(parts: Sequence[Segments]) -> Segments:
    """Spans of neighbouring stretches as one; none give none."""
    floats = np.empty(0)
    nothing = Segments(floats, floats, floats, floats, np.empty(0, dtype=bool))
    all_parts = [nothing, *parts]
    return Segments(
        np.concatenate([part.start for part in all_parts]),
        np.concatenate([part.stop for part in all_parts]),
        np.concatenate([part.before for part in all_parts]),
        np.concatenate([part.after for part in all_parts]),
        np.concatenate([part.joined for part in all_parts]),
    )


def flow_runs(spans: Segments, pulse: float) -> list[Run]:
    """Spans in which the meter never stood still for an hour, in order.

    pulse: m3 per count; an advance of less than half of it is none, so a flow of less than one
    pulse an hour cannot be seen. Gaps of more than 3 hours and new lines end a run.
    """
    length, advance = spans.stop - spans.start, spans.after - spans.before
    broken = ~spans.joined | (length > LONG_GAP_S)
    flat = (advance < pulse / 2) & ~broken
    ends = broken | _dry(length, flat)
    padded = np.concatenate(([True], ends, [True])).astype(np.int8)
    bounds = np.flatnonzero(np.diff(padded)).reshape(-1, 2)
    return [
        Run(
            float(spans.start[first]),
            float(spans.stop[past - 1]),
            fsum(advance[first:past].tolist()),
            bool(past == len(length)),
        )
        for first, past in bounds
    ]


def _dry(length: Floats, flat: Flags) -> Flags:
    """Flat spans that together with their flat neighbours last an hour."""
    group = np.cumsum(np.diff(flat.astype(np.int8), prepend=0) != 0)
    lasting = np.bincount(group, weights=np.where(flat, length, 0.0), minlength=1)
    dry: Flags = flat & (lasting[group] >= DRY_S)
    return dry
