"""Runs scenarios: their past as fast as the broker takes it, then live until stopped."""

import heapq
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from threading import Event
from typing import Final

import orjson

from shared.settings import Mqtt
from simulators import clock
from simulators.message import Timed
from simulators.publish import Counts, Publisher, publishing
from simulators.scenario import Scenario

DRAIN_S: Final = 10.0
Progress = Callable[[Counts, bool], None]  # counts so far, and whether the past is published


class Reporter:
    """Passes counts on at least every half second while the network is served."""

    def __init__(self, progress: Progress, every_s: float = 0.5) -> None:
        self._progress, self._every_s = progress, every_s
        self._next = 0.0
        self._told: tuple[Counts, bool] | None = None  # a quiet hour is one line, not thousands
        self.backfill_done = False

    def __call__(self, counts: Counts, *, at_once: bool = False) -> None:
        state = (counts, self.backfill_done)
        if at_once or (time.monotonic() >= self._next and state != self._told):
            self._next = time.monotonic() + self._every_s
            self._told = state
            self._progress(*state)


def run(
    scenarios: Sequence[Scenario],
    mqtt: Mqtt,
    *,
    seed: int,
    anchor: datetime,
    now: datetime,
    live: bool,
    stop: Event,
    progress: Progress = lambda _counts, _done: None,
    journal: Path | None = None,
    wall_clock: Callable[[], datetime] = clock.utc_now,
) -> Counts:
    """Publish every message due before `now`, then, if `live`, each when it is due until `stop`.

    anchor: the hour the simulation first began in (clock.remembered_anchor), UTC. journal: see
    Publisher. Returns the final counts, after waiting at most 10 s for acknowledgements; raises
    PublishFailed when the broker cannot be reached at the start.
    """
    report = Reporter(progress)
    with publishing(mqtt, stop, report, journal) as publisher:
        streams = [scenario.messages(anchor, now, seed) for scenario in scenarios]
        future: list[Iterator[Timed]] = []
        _send_all(publisher, interleaved(streams, now, future), stop)
        while not stop.is_set() and not report.backfill_done:
            report.backfill_done = publisher.drain(DRAIN_S)
        report(publisher.counts, at_once=True)
        if live:
            _send_when_due(publisher, future, stop, wall_clock)
        publisher.drain(DRAIN_S)
        report(publisher.counts, at_once=True)
        return publisher.counts


def interleaved(
    streams: Sequence[Iterator[Timed]], now: datetime, future: list[Iterator[Timed]]
) -> Iterator[Timed]:
    """The messages due before `now`, all streams advancing by the same share of their own past.

    By share, not by time: a recording of eleven weeks would else keep one of five waiting. What is
    left of each stream is appended to `future` once its past has been taken.
    """
    shares = (_with_share(number, stream, now, future) for number, stream in enumerate(streams))
    return (timed for _share, _number, timed in heapq.merge(*shares))


def _with_share(
    number: int, stream: Iterator[Timed], now: datetime, future: list[Iterator[Timed]]
) -> Iterator[tuple[float, int, Timed]]:
    begins: datetime | None = None
    for timed in stream:
        if timed.due >= now:
            future.append(chain([timed], stream))
            return
        begins = begins or timed.due
        yield (timed.due - begins) / (now - begins), number, timed


def _send_all(publisher: Publisher, past: Iterator[Timed], stop: Event) -> None:
    for timed in past:
        if stop.is_set():
            return
        publisher.send(timed.message)


def _send_when_due(
    publisher: Publisher,
    future: Sequence[Iterator[Timed]],
    stop: Event,
    wall_clock: Callable[[], datetime],
) -> None:
    for timed in heapq.merge(*future, key=lambda timed: timed.due):
        while (wait_s := (timed.due - wall_clock()).total_seconds()) > 0 and not stop.is_set():
            publisher.step(wait_s)
        if stop.is_set():
            return
        publisher.send(timed.message)
    while not stop.is_set():  # recordings only: nothing more to come
        publisher.step()


def json_progress(counts: Counts, backfill_done: bool) -> None:
    """One JSON line on stdout, for the supervisor."""
    line = {
        "published": counts.published,
        "repeats": counts.repeats,
        "backfill_done": backfill_done,
    }
    sys.stdout.buffer.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()
