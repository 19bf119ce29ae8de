"""What can happen to a part, as a table: a new fault is one entry."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psycopg

from tests.chaos.stack import Stack


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that happens: at `after_s` from the begin of the load, for `lasts_s`."""

    name: str
    after_s: float
    lasts_s: float


def _kill(part: str) -> Callable[[Stack, float], None]:
    def act(stack: Stack, lasts_s: float) -> None:
        stack.kill(part)
        time.sleep(lasts_s)
        stack.begin(part)

    return act


def _stop(part: str) -> Callable[[Stack, float], None]:
    def act(stack: Stack, lasts_s: float) -> None:
        stack.stop(part)
        time.sleep(lasts_s)
        stack.begin(part)

    return act


def _pause(part: str) -> Callable[[Stack, float], None]:
    def act(stack: Stack, lasts_s: float) -> None:
        stack.pause(part)
        try:
            time.sleep(lasts_s)
        finally:
            stack.resume(part)

    return act


def _cut_from_database(stack: Stack, lasts_s: float) -> None:
    """Ingest's connections to the database end under it, again and again."""
    until = time.monotonic() + lasts_s
    while True:
        with psycopg.connect(stack.url, autocommit=True) as connection:
            connection.execute(_CUT)
        if time.monotonic() >= until:
            return
        time.sleep(0.3)


_CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lab-ingest'
"""
FAULTS: Mapping[str, Callable[[Stack, float], None]] = {
    "kill ingest": _kill("ingest"),
    "restart ingest": _stop("ingest"),
    "kill nats": _kill("nats"),
    "restart nats": _stop("nats"),
    "kill postgres": _kill("postgres"),
    "restart postgres": _stop("postgres"),
    "pause postgres": _pause("postgres"),
    "pause nats": _pause("nats"),
    "cut from database": _cut_from_database,
}


def planned(dice: random.Random, load_s: float) -> list[Fault]:
    """Two to four faults while the load runs, one after the other."""
    moments = sorted(dice.uniform(0.1, load_s) for _ in range(dice.randint(2, 4)))
    return [
        Fault(dice.choice(sorted(FAULTS)), round(at, 2), round(dice.uniform(0, 2.5), 2))
        for at in moments
    ]


def run(stack: Stack, faults: list[Fault], begun: float) -> None:
    """Let them happen; one that is due while another lasts happens right after it."""
    for fault in faults:
        time.sleep(max(0.0, begun + fault.after_s - time.monotonic()))
        FAULTS[fault.name](stack, fault.lasts_s)
