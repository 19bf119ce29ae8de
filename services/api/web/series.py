"""Chart panels of a pilot: which series they show, and the table that the chart is drawn from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.listing import Page, Range
from services.api.resources.latest import Latest
from services.api.resources.readings import Aggregate, Bucket, Reading, readings
from services.api.web.status import SILENT_AFTER

Period = Literal["24h", "7d", "35d", "all"]
Step = Literal["raw", "5m", "1h", "1d"]
PERIODS: Final[Mapping[Period, timedelta | None]] = {
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "35d": timedelta(days=35),
    "all": None,
}
STEPS: Final[Mapping[Step, tuple[Bucket | None, timedelta | None]]] = {
    "raw": (None, None),
    "5m": (Bucket.MINUTES_5, timedelta(minutes=5)),
    "1h": (Bucket.HOUR, timedelta(hours=1)),
    "1d": (Bucket.DAY, timedelta(days=1)),
}
MOST_ROWS: Final = 2000  # a table that a phone can still show
MOST_SERIES: Final = 6  # colours a reader can tell apart
EVERY: Final = "*"  # as pilot kinds describe a panel for each property


@dataclass(frozen=True)
class View:
    """What the reader chose to see; `end` is exclusive."""

    period: Period
    step: Step | None
    device: str | None
    end: datetime

    @property
    def start(self) -> datetime | None:
        length = PERIODS[self.period]
        return self.end - length if length else None

    def step_for(self, rows: Sequence[Latest]) -> Step:
        """The chosen step, else one that keeps the table readable."""
        if all(row.derived_by for row in rows):
            return "raw"  # already one value an hour or a day
        if self.step:
            return self.step
        by_period: Mapping[Period, Step] = {"24h": "raw", "7d": "1h", "35d": "1h", "all": "1d"}
        usual = by_period[self.period]
        return "5m" if usual == "raw" and any(_is_dense(row, self) for row in rows) else usual


@dataclass(frozen=True)
class Cell:
    """One value; low and high bound a bucket. quality None: it rests on good readings only."""

    value: float | None
    quality: int | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Panel:
    """One chart with its table: a column a datastream, a row a time (the newest first)."""

    property: str
    title: str | None
    form: str
    unit: str
    step: Step
    columns: Sequence[Latest]
    choices: Sequence[Latest]
    rows: Sequence[tuple[datetime, Sequence[Cell | None]]]
    cut_short: bool
    limits: Mapping[str, float]

    def gap_s(self, column: Latest) -> float | None:
        """Seconds without a value after which the line is broken; None: not known."""
        width = STEPS[self.step][1]
        bucket = width.total_seconds() * 1.5 if width else 0.0
        nominal = 0 if column.derived_by else column.interval_s
        return None if nominal is None else max(bucket, SILENT_AFTER * nominal) or None


async def panels(
    connection: AsyncConnection,
    described: Sequence[Mapping[str, Any]],
    latest: Sequence[Latest],
    view: View,
    params: Mapping[str, Any],
) -> list[Panel]:
    """The panels a pilot kind describes; without a description one per observed property."""
    heard = [row for row in latest if row.time is not None]
    made = []
    for panel in _wanted(described or [{"property": EVERY}], heard):
        choices = [row for row in heard if row.property == panel["property"]]
        if choices:
            limits = params.get(panel.get("limits") or "", {})
            made.append(await _panel(connection, panel, choices, view, limits))
    return made


def _wanted(
    described: Sequence[Mapping[str, Any]], heard: Sequence[Latest]
) -> Iterator[Mapping[str, Any]]:
    """Each described panel; one for EVERY property becomes one for each that was heard of."""
    for panel in described:
        if panel["property"] != EVERY:
            yield panel
            continue
        for key in dict.fromkeys(row.property for row in heard if row.derived_by is None):
            yield {**panel, "property": key}


async def _panel(
    connection: AsyncConnection,
    panel: Mapping[str, Any],
    choices: Sequence[Latest],
    view: View,
    limits: object,
) -> Panel:
    form = panel.get("form") or "chart"
    columns = _chosen(choices, view.device, most=1 if form == "bars" else MOST_SERIES)
    step = view.step_for(columns)
    by_time: dict[datetime, list[Cell | None]] = {}
    cut_short = False
    for place, column in enumerate(columns):
        start, moved = _start(column, step, view)
        found = await readings(
            connection,
            column.datastream_id,
            bucket=STEPS[step][0],
            span=Range(start, view.end),
            page=Page(MOST_ROWS),
        )
        cut_short |= moved or found.next is not None
        for item in found.items:
            by_time.setdefault(item.time, [None] * len(columns))[place] = _cell(item, form)
    return Panel(
        property=panel["property"],
        title=panel.get("title"),
        form=form,
        unit=columns[0].unit,
        step=step,
        columns=columns,
        choices=choices,
        rows=sorted(by_time.items(), key=lambda row: row[0], reverse=True),
        cut_short=cut_short,
        limits=_common([_limits(limits, column, view.end) for column in columns]),
    )


def _limits(stated: object, column: Latest, end: datetime) -> dict[str, float]:
    """The limits of one series by name, lowest first, from a param that states them.

    By device key: the numbers of the newest entry that was valid by `end`, e.g. siaga3 → 1.5. As
    rules: the limit of each rule for its property, by its label.
    """
    said: Mapping[str, Any] = {}
    if isinstance(stated, Mapping):
        said = _newest(stated.get(column.device), end)
    elif isinstance(stated, list):
        said = dict(
            limit for rule in stated if isinstance(rule, Mapping) for limit in _ruled(rule, column)
        )
    limits = {
        name: float(value)
        for name, value in said.items()
        if name != "valid_from" and isinstance(value, int | float) and not isinstance(value, bool)
    }
    return dict(sorted(limits.items(), key=lambda limit: limit[1]))


def _newest(entries: object, end: datetime) -> Mapping[str, Any]:
    valid = [
        entry
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, Mapping)
        and str(entry.get("valid_from") or "") <= end.date().isoformat()
    ]
    return max(valid, key=lambda entry: str(entry.get("valid_from") or ""), default={})


def _ruled(rule: Mapping[str, Any], column: Latest) -> Iterator[tuple[str, Any]]:
    """The limit a rule sets this series, named by its label, else by its side."""
    devices = rule.get("devices")
    if rule.get("property") != column.property or (devices and column.device not in devices):
        return
    for side, sign in (("above", ">"), ("below", "<")):
        if rule.get(side) is not None:
            yield str(rule.get("label") or f"{sign} {rule[side]}"), rule[side]


def _common(limits: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """The limits every series of a chart has: lines that hold for one of several mislead."""
    first, *others = limits
    return {
        name: limit
        for name, limit in first.items()
        if all(each.get(name) == limit for each in others)
    }


def _chosen(choices: Sequence[Latest], device: str | None, most: int) -> Sequence[Latest]:
    """The series of one device where one was asked for or there are too many to tell apart."""
    if device and any(row.device == device for row in choices):
        return [row for row in choices if row.device == device][:most]
    return choices if len(choices) <= most else choices[:1]


def _start(column: Latest, step: Step, view: View) -> tuple[datetime | None, bool]:
    """Where to begin so that the newest rows are the ones that fit, and whether that cuts."""
    if step == "raw" and column.interval_s and (not view.start or _is_dense(column, view)):
        return view.end - timedelta(seconds=column.interval_s * MOST_ROWS), True
    return view.start, False


def _is_dense(row: Latest, view: View) -> bool:
    length = PERIODS[view.period]
    return bool(length and row.interval_s and length.total_seconds() > row.interval_s * MOST_ROWS)


def _cell(item: Reading | Aggregate, form: str) -> Cell:
    """Bars show amounts, so a bucket is their total; else it is the mean with its bounds."""
    if isinstance(item, Reading):
        return Cell(item.value, item.quality)
    if form == "bars":
        return Cell(None if item.mean is None else item.mean * item.n_good)
    return Cell(item.mean, None, item.min, item.max)
