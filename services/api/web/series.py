"""Chart panels: which series they show, and the table that the chart is drawn from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import urlencode

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.listing import Page, Range
from services.api.resources.latest import Latest
from services.api.resources.readings import Aggregate, Bucket, Reading, readings
from services.api.web.choice import choice
from services.api.web.limits import common, limits_of
from services.api.web.status import SILENT_AFTER
from shared.db.tables import reading_hourly
from shared.domain.place import Origin

Period = Literal["24h", "7d", "35d", "1y", "all"]
Step = Literal["raw", "5m", "1h", "1d", "1M"]
PERIODS: Final[Mapping[Period, timedelta | None]] = {
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "35d": timedelta(days=35),
    "1y": timedelta(days=365),
    "all": None,
}
STEPS: Final[Mapping[Step, tuple[Bucket | None, timedelta | None]]] = {
    "raw": (None, None),
    "5m": (Bucket.MINUTES_5, timedelta(minutes=5)),
    "1h": (Bucket.HOUR, timedelta(hours=1)),
    "1d": (Bucket.DAY, timedelta(days=1)),
    "1M": (Bucket.MONTH, timedelta(days=31)),
}
# The step for a span of at most so long; derived series have one value an hour or a day already.
_USUAL: Final[Sequence[tuple[timedelta, Step, Step]]] = (
    (timedelta(days=2), "raw", "raw"),
    (timedelta(days=62), "1h", "raw"),
    (timedelta(days=4 * 366), "1d", "1d"),
    (timedelta.max, "1M", "1M"),
)
MOST_ROWS: Final = 2000  # a table that a phone can still show
MOST_SERIES: Final = 6  # colours a reader can tell apart
EVERY: Final = "*"  # a panel for each property the devices report


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

    def step_for(self, rows: Sequence[Latest], length: timedelta) -> Step:
        """The chosen step, else one that keeps the table of a span of `length` readable."""
        derived = all(row.derived_by for row in rows)
        if self.step and not derived:
            return self.step
        usual = next(steps[derived] for most, *steps in _USUAL if length <= most)
        return "5m" if usual == "raw" and any(_is_dense(row, length) for row in rows) else usual


def view_of(
    asked: Mapping[str, str], origin: Origin, newest: Sequence[Latest], now: datetime
) -> View:
    """The view a query asks for. It ends now for measured values, else at the newest of them."""
    times = [row.time for row in newest if row.time is not None]
    return View(
        period=choice(asked.get("period"), PERIODS) or "24h",
        step=choice(asked.get("step"), STEPS),
        device=asked.get("device"),
        end=now if origin == "measured" or not times else max(times) + timedelta.resolution,
    )


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
    span: Range
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

    def csv(self, column: Latest) -> str:
        """Address of what is shown of one series, as a file."""
        bucket = STEPS[self.step][0]
        asked = {
            "format": "csv",
            "bucket": bucket and bucket.value,
            "from": self.span.start and self.span.start.isoformat(),
            "to": self.span.end and self.span.end.isoformat(),
            "limit": 10_000,
        }
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        return f"/v1/datastreams/{column.datastream_id}/readings?{query}"


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
    for panel in _wanted(described, heard):
        choices = [row for row in heard if row.property == panel["property"]]
        if choices:
            limits = params.get(panel.get("limits") or "", {})
            made.append(await _panel(connection, panel, choices, view, limits))
    return made


def _wanted(
    described: Sequence[Mapping[str, Any]], heard: Sequence[Latest]
) -> list[Mapping[str, Any]]:
    """The panels with EVERY replaced by each property that has none of its own."""
    panels = described or [{"property": EVERY}]
    own = {panel["property"] for panel in panels}
    observed = dict.fromkeys(row.property for row in heard if row.derived_by is None)
    others = [key for key in observed if key not in own]
    wanted: list[Mapping[str, Any]] = []
    for panel in panels:
        keys = others if panel["property"] == EVERY else [panel["property"]]
        wanted += [{**panel, "property": key} for key in keys]
    return wanted


async def _panel(
    connection: AsyncConnection,
    panel: Mapping[str, Any],
    choices: Sequence[Latest],
    view: View,
    limits: Any,
) -> Panel:
    form = panel.get("form") or "chart"
    columns = _chosen(choices, view.device, most=1 if form == "bars" else MOST_SERIES)
    start = view.start or await _beginning(connection, columns) or view.end
    step = view.step_for(columns, view.end - start)
    spans = [_span(column, step, start, view.end) for column in columns]
    by_time: dict[datetime, list[Cell | None]] = {}
    cut_short = any(span.start != start for span in spans)
    for place, (column, span) in enumerate(zip(columns, spans, strict=True)):
        found = await readings(
            connection,
            column.datastream_id,
            bucket=STEPS[step][0],
            span=span,
            page=Page(MOST_ROWS),
        )
        cut_short |= found.next is not None
        for item in found.items:
            by_time.setdefault(item.time, [None] * len(columns))[place] = _cell(item, form)
    return Panel(
        property=panel["property"],
        title=panel.get("title"),
        form=form,
        unit=columns[0].unit,
        step=step,
        span=Range(min(span.start or start for span in spans), view.end),
        columns=columns,
        choices=choices,
        rows=sorted(by_time.items(), key=lambda row: row[0], reverse=True),
        cut_short=cut_short,
        limits=common([limits_of(limits, column, view.end) for column in columns]),
    )


async def _beginning(connection: AsyncConnection, columns: Sequence[Latest]) -> datetime | None:
    """The first hour any of them has a value in; None: not rolled up yet."""
    ids = [column.datastream_id for column in columns]
    first = select(func.min(reading_hourly.c.hour))
    found: datetime | None = await connection.scalar(
        first.where(reading_hourly.c.datastream_id.in_(ids))
    )
    return found


def _chosen(choices: Sequence[Latest], device: str | None, most: int) -> Sequence[Latest]:
    """The series of one device where one was asked for or there are too many to tell apart."""
    if device and any(row.device == device for row in choices):
        return [row for row in choices if row.device == device][:most]
    return choices if len(choices) <= most else choices[:1]


def _span(column: Latest, step: Step, start: datetime, end: datetime) -> Range:
    """The whole span, or as much of its newest part as a table of raw values can hold."""
    if step == "raw" and column.interval_s and _is_dense(column, end - start):
        return Range(end - timedelta(seconds=column.interval_s * MOST_ROWS), end)
    return Range(start, end)


def _is_dense(row: Latest, length: timedelta) -> bool:
    """Whether a table cannot hold its values; derived ones come by the hour or the day."""
    nominal = 0 if row.derived_by else row.interval_s
    return bool(nominal and length.total_seconds() > nominal * MOST_ROWS)


def _cell(item: Reading | Aggregate, form: str) -> Cell:
    """Bars show amounts, so a bucket is their total; else it is the mean with its bounds."""
    if isinstance(item, Reading):
        return Cell(item.value, item.quality)
    if form == "bars":
        return Cell(None if item.mean is None else item.mean * item.n_good)
    return Cell(item.mean, None, item.min, item.max)
