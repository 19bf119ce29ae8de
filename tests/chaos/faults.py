"""What can happen to a part, as a table: a new fault is one entry."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from tests.chaos.stack import Stack

Meanwhile = Callable[[Stack], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that happens: at `after_s` from the begin of the load, for `lasts_s`."""

    name: str
    after_s: float
    lasts_s: float


def _kill(part: str) -> Meanwhile:
    @contextmanager
    def killed(stack: Stack) -> Iterator[None]:
        stack.kill(part)
        try:
            yield
        finally:
            stack.begin(part)

    return killed


def _stop(part: str) -> Meanwhile:
    @contextmanager
    def stopped(stack: Stack) -> Iterator[None]:
        stack.stop(part)
        try:
            yield
        finally:
            stack.begin(part)

    return stopped


def _pause(part: str) -> Meanwhile:
    @contextmanager
    def paused(stack: Stack) -> Iterator[None]:
        stack.pause(part)
        try:
            yield
        finally:
            stack.resume(part)

    return paused


def _cut(line: str) -> Meanwhile:
    """Ingest's connections to a server end, and no new one is made."""

    @contextmanager
    def cut(stack: Stack) -> Iterator[None]:
        stack.lines[line].cut()
        try:
            yield
        finally:
            stack.lines[line].mend()

    return cut


def _hold(line: str) -> Meanwhile:
    """Ingest's connections to a server stand, and nothing passes."""

    @contextmanager
    def held(stack: Stack) -> Iterator[None]:
        stack.lines[line].hold()
        try:
            yield
        finally:
            stack.lines[line].mend()

    return held


@contextmanager
def _full_disk(stack: Stack) -> Iterator[None]:
    """The spool's disk takes no more just when everything would have to go there."""
    stack.fill_disk()
    stack.lines["database"].cut()
    try:
        yield
    finally:
        stack.empty_disk()
        stack.lines["database"].mend()


ANYWHERE: Mapping[str, Meanwhile] = {
    "kill ingest": _kill("ingest"),
    "restart ingest": _stop("ingest"),
    "restart broker": _stop("broker"),
    "kill postgres": _kill("postgres"),
    "restart postgres": _stop("postgres"),
    "pause postgres": _pause("postgres"),
    "pause broker": _pause("broker"),
    "cut from database": _cut("database"),
    "cut from broker": _cut("broker"),
    "hold line to database": _hold("database"),
    "hold line to broker": _hold("broker"),
}
# A killed Mosquitto has lost what it held: tests/integration/test_ingest_mosquitto.py.
OF_NATS: Mapping[str, Meanwhile] = {"kill broker": _kill("broker")}
OF_SPOOL: Mapping[str, Meanwhile] = {"full spool disk": _full_disk}
EACH: Mapping[str, Meanwhile] = {**ANYWHERE, **OF_NATS, **OF_SPOOL}


def planned(dice: random.Random, possible: Mapping[str, Meanwhile], load_s: float) -> list[Fault]:
    """Two to four faults while the load runs, one after the other."""
    moments = sorted(dice.uniform(0.1, load_s) for _ in range(dice.randint(2, 4)))
    return [
        Fault(dice.choice(sorted(possible)), round(at, 2), round(dice.uniform(0, 2.5), 2))
        for at in moments
    ]


def run(stack: Stack, faults: list[Fault], begun: float) -> None:
    """Let them happen; one that is due while another lasts happens right after it."""
    for fault in faults:
        time.sleep(max(0.0, begun + fault.after_s - time.monotonic()))
        with EACH[fault.name](stack):
            time.sleep(fault.lasts_s)
