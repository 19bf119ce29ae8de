"""Chart panels of a pilot: which series they show, and the table that the chart is drawn from."""

from collections.abc import Mapping, Sequence
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
    wanted = described or [
        {"property": key, "title": None, "form": "chart"}
        for key in dict.fromkeys(row.property for row in heard)
    ]
    made = []
    for panel in wanted:
        choices = [row for row in heard if row.property == panel["property"]]
        if choices:
            limits = params.get(panel.get("limits") or "", {})
            made.append(await _panel(connection, panel, choices, view, limits))
    return made


async def _panel(
    connection: AsyncConnection,
    panel: Mapping[str, Any],
    choices: Sequence[Latest],
    view: View,
    limits: Mapping[str, Any],
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
        limits=_limits(limits, columns, view.end) if len(columns) == 1 else {},
    )


def _limits(
    by_device: Mapping[str, Any], columns: Sequence[Latest], end: datetime
) -> dict[str, float]:
    """The numbers of the newest entry that was valid by `end`, e.g. siaga3 → 1.5."""
    entries = by_device.get(columns[0].device) if isinstance(by_device, Mapping) else None
    valid = [
        entry
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, Mapping)
        and str(entry.get("valid_from") or "") <= end.date().isoformat()
    ]
    newest: Mapping[str, Any] = max(
        valid, key=lambda entry: str(entry.get("valid_from") or ""), default={}
    )
    limits = {
        name: float(value)
        for name, value in newest.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    return dict(sorted(limits.items(), key=lambda limit: limit[1]))


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
