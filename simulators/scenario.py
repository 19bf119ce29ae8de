"""What a scenario is, and how one is found by name. Adding a scenario = one file in scenarios/."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.domain.place import Origin
from shared.errors import OperatorError
from shared.registry import discover
from simulators import scenarios
from simulators.message import Timed


class UnknownScenario(OperatorError):
    """No scenario has that name; the message lists those there are."""


@dataclass(frozen=True, slots=True)
class Planted:
    """One row of a scenario's truth: what was put into its data on purpose, where and when.

    value: its size, in the canonical unit of what it changes. finding, severity: what has to tell
    it, on a datastream of that device; None: nothing may be told, any severity will do. due: from
    when on it must have been told; None: it may be, but a pause may have left it out.
    """

    site: str
    device: str
    what: str
    start: datetime
    end: datetime
    value: float | None = None
    finding: str | None = None
    severity: str | None = None
    due: datetime | None = None


def _nothing(_anchor: datetime, _now: datetime, _seed: int) -> Sequence[Planted]:
    return ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """Sites and the messages of their devices.

    `anchor` is the hour in which the simulation was first started, `now` the wall clock; both UTC.
    site_files(anchor): the site files, as structures of the shape `lab site apply` reads.
    messages(anchor, now, seed): all messages in order of leaving, first the past (due < now), then
    without end or until the recording ends. What a device sends for a time t depends on seed and t
    (a recording: on anchor) only, so that a second start repeats messages and contradicts none.
    planted(anchor, now, seed): everything planted that began before `now`: of these devices,
    nothing else may be found.
    """

    name: str
    title: str
    origin: Origin
    site_files: Callable[[datetime], Sequence[dict[str, Any]]]
    messages: Callable[[datetime, datetime, int], Iterator[Timed]]
    planted: Callable[[datetime, datetime, int], Sequence[Planted]] = _nothing


def known() -> dict[str, Scenario]:
    """Every scenario, by name."""
    return discover(scenarios, Scenario)


def named(names: Sequence[str]) -> list[Scenario]:
    """The scenarios of these names; raises UnknownScenario."""
    found = known()
    for name in names:
        if name not in found:
            raise UnknownScenario(f"scenario {name!r} is unknown; there are: {', '.join(found)}")
    return [found[name] for name in dict.fromkeys(names)]
