"""What can happen to a part, as a table: a new fault is one entry."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tests.chaos.stack import Stack


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that happens: at `after_s` from the begin of the load, for `lasts_s`."""

    name: str
    after_s: float
    lasts_s: float


class Meanwhile(NamedTuple):
    """How something begins, and how it is over."""

    begin: Callable[[Stack], None]
    end: Callable[[Stack], None]


def _kill(part: str) -> Meanwhile:
    return Meanwhile(lambda stack: stack.kill(part), lambda stack: stack.begin(part))


def _stop(part: str) -> Meanwhile:
    return Meanwhile(lambda stack: stack.stop(part), lambda stack: stack.begin(part))


def _pause(part: str) -> Meanwhile:
    return Meanwhile(lambda stack: stack.pause(part), lambda stack: stack.resume(part))


def _cut(line: str) -> Meanwhile:
    """Ingest's connections to a server end, and no new one is made."""
    return Meanwhile(lambda stack: stack.lines[line].cut(), lambda stack: stack.lines[line].mend())


def _hold(line: str) -> Meanwhile:
    """Ingest's connections to a server stand, and nothing passes."""
    return Meanwhile(lambda stack: stack.lines[line].hold(), lambda stack: stack.lines[line].mend())


def _no_room(stack: Stack) -> None:
    """The spool's disk takes no more just when everything would have to go there."""
    stack.fill_disk()
    stack.lines["database"].cut()


def _room(stack: Stack) -> None:
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
OF_SPOOL: Mapping[str, Meanwhile] = {"full spool disk": Meanwhile(_no_room, _room)}
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
        happens = EACH[fault.name]
        happens.begin(stack)
        try:
            time.sleep(fault.lasts_s)
        finally:
            happens.end(stack)
