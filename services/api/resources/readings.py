"""Readings of one datastream: raw, or in buckets, as JSON or CSV."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from io import StringIO
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from fastapi import Depends, Query, Request
from fastapi.responses import Response
from pydantic import Field
from sqlalchemy import TextClause, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.access.guard import Router, needs
from services.api.deps import NUMBER, Id, TimeRange, Visitor, paged
from services.api.listing import ALWAYS, FIRST, Page, Payload, Range, cut, from_micros, micros
from services.api.placed import DATASTREAMS, site_of_datastream
from services.api.problem import MISSING, NotFound, Responses
from shared.db.tables import datastream, device, site
from shared.domain.place import Origin


class Bucket(StrEnum):
    """Width of a bucket; one hour and longer follow the site's zone."""

    MINUTES_5 = "5m"
    MINUTES_15 = "15m"
    HOUR = "1h"
    DAY = "1d"
    MONTH = "1M"

    @classmethod
    def _missing_(cls, value: object) -> "Bucket | None":
        """Its first name, which some clients still use."""
        return cls.MONTH if value == "1mo" else None


class Head(Payload):
    """Which series this is."""

    datastream: int
    property: str = Field(examples=["water_level"])
    unit: str = Field(examples=["m"])
    zone: str = Field(examples=["Asia/Jakarta"])
    origin: Origin


class Reading(Payload):
    """One value at one observed time (UTC), in the head's unit."""

    time: datetime
    value: float
    quality: int = Field(description="QARTOD: 1 good, 2 not evaluated, 3 suspect, 4 fail")


class Aggregate(Payload):
    """One bucket, named by its start in the site's zone; its values rest on good readings only."""

    time: datetime
    n: int = Field(description="readings")
    n_good: int = Field(description="readings of quality 1 or 2")
    mean: float | None = Field(description="null: no good reading")
    min: float | None
    max: float | None
    first: float | None
    last: float | None


class Readings(Payload):
    """A page of one series in the order of time; values in `head.unit`."""

    head: Head
    items: list[Reading | Aggregate] = Field(description="readings, or aggregates with `bucket`")
    next: str | None = Field(description="pass as `cursor` to go on; null: this was the last page")


@dataclass(frozen=True, slots=True)
class _Source:
    """One kind of series: its statement, what a row becomes, and the width of a bucket."""

    statement: TextClause
    item: Callable[[Any, Head], Reading | Aggregate]
    width: str = ""


_RAW: Final = text("""
    SELECT time, value, quality FROM reading
    WHERE datastream_id = :datastream AND time >= :start AND time < :end
    ORDER BY time LIMIT :limit
""")
# A bucket belongs to the range when it starts in it, and is always whole: hence the looser
# bounds on the rows, which keep the index in use, and the exact ones on the bucket.
_FROM_READINGS: Final = text("""
    SELECT bin AS time, count(*) AS n, count(*) FILTER (WHERE good) AS n_good,
           sum(value) FILTER (WHERE good) AS sum,
           min(value) FILTER (WHERE good) AS min, max(value) FILTER (WHERE good) AS max,
           (array_agg(value ORDER BY at) FILTER (WHERE good))[1] AS first,
           (array_agg(value ORDER BY at DESC) FILTER (WHERE good))[1] AS last
    FROM (
        SELECT date_bin(CAST(:width AS interval), time, '2000-01-01Z') AS bin,
               time AS at, value, quality <= 2 AS good
        FROM reading
        WHERE datastream_id = :datastream
          AND time >= :start AND time < :end + CAST(:width AS interval)
    ) AS binned
    WHERE bin >= :start AND bin < :end
    GROUP BY bin ORDER BY bin LIMIT :limit
""")
_FROM_HOURS: Final = text("""
    SELECT bin AS time, sum(n)::bigint AS n, sum(n_good)::bigint AS n_good,
           sum(sum) AS sum, min(min) AS min, max(max) AS max,
           (array_agg(first ORDER BY hour) FILTER (WHERE n_good > 0))[1] AS first,
           (array_agg(last ORDER BY hour DESC) FILTER (WHERE n_good > 0))[1] AS last
    FROM (
        SELECT date_trunc(:width, hour, :zone) AS bin, reading_hourly.*
        FROM reading_hourly
        WHERE datastream_id = :datastream
          AND hour >= :start AND hour < :end + interval '32 days'
    ) AS binned
    WHERE bin >= :start AND bin < :end
    GROUP BY bin ORDER BY bin LIMIT :limit
""")


def _reading(row: Any, _: Head) -> Reading:
    return Reading.model_validate(row)


def _aggregate(row: Any, head: Head) -> Aggregate:
    mean = row.sum / row.n_good if row.n_good else None
    time = row.time.astimezone(ZoneInfo(head.zone))
    return Aggregate.model_validate({**row._mapping, "time": time, "mean": mean})


_SOURCES: Final[Mapping[Bucket | None, _Source]] = {
    None: _Source(_RAW, _reading),
    Bucket.MINUTES_5: _Source(_FROM_READINGS, _aggregate, "5 minutes"),
    Bucket.MINUTES_15: _Source(_FROM_READINGS, _aggregate, "15 minutes"),
    Bucket.HOUR: _Source(_FROM_HOURS, _aggregate, "hour"),
    Bucket.DAY: _Source(_FROM_HOURS, _aggregate, "day"),
    Bucket.MONTH: _Source(_FROM_HOURS, _aggregate, "month"),
}
_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
_END: Final = datetime.max.replace(tzinfo=UTC)

router = Router(tags=["readings"])


async def readings(
    connection: AsyncConnection,
    datastream_id: int,
    *,
    bucket: Bucket | None = None,
    span: Range = ALWAYS,
    page: Page = FIRST,
) -> Readings:
    """Raw readings, or whole buckets that start within `span`; raises NotFound."""
    head = await _head(connection, datastream_id)
    source = _SOURCES[bucket]
    fetched = await connection.execute(
        source.statement,
        {
            "datastream": datastream_id,
            "width": source.width,
            "zone": head.zone,
            **_bounds(span, page),
        },
    )
    rows, following = cut(fetched.all(), page, lambda row: (micros(row.time),))
    items = [source.item(row, head) for row in rows]
    return Readings(head=head, items=items, next=following)


def _bounds(span: Range, page: Page) -> dict[str, object]:
    """The half-open span that is left after the pages before."""
    after = from_micros(page.after[0] + 1) if page.after else _BEGINNING
    return {
        "start": max(span.start or _BEGINNING, after),
        "end": span.end or _END,
        "limit": page.limit + 1,
    }


async def _head(connection: AsyncConnection, datastream_id: int) -> Head:
    query = (
        select(
            datastream.c.id.label("datastream"),
            datastream.c.property,
            datastream.c.unit,
            site.c.zone,
            device.c.origin,
        )
        .select_from(DATASTREAMS)
        .where(datastream.c.id == datastream_id)
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound(f"no datastream {datastream_id}")
    return Head.model_validate(row)


def as_csv(found: Readings, kind: type[Payload]) -> str:
    """One line a reading or bucket; the head follows as columns, so that files can be joined."""
    out = StringIO()
    head = found.head.model_dump(mode="json")
    writer = csv.DictWriter(out, [*kind.model_fields, *head], lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({**item.model_dump(mode="json"), **head} for item in found.items)
    return out.getvalue()


_CSV: Final[Responses] = {
    200: {
        "description": "`format=csv`: the same columns, then those of `head`; RFC 4180",
        "content": {"text/csv": {"schema": {"type": "string"}}},
        "headers": {
            "Link": {
                "description": "`format=csv`: the next page, absent on the last",
                "schema": {"type": "string"},
            }
        },
    }
}


@router.get(
    "/datastreams/{datastream}/readings",
    dependencies=[needs("reading:read")],
    summary="Readings of one datastream",
    responses={**MISSING, **_CSV},
    response_model=Readings,
)
async def _list(
    request: Request,
    visit: Visitor,
    datastream: Id,
    span: TimeRange,
    page: Annotated[Page, Depends(paged(NUMBER, default=1000, most=10_000))],
    bucket: Annotated[
        Bucket | None, Query(description="width; from one hour on in the site's zone")
    ] = None,
    format: Literal["json", "csv"] = "json",
) -> Readings | Response:
    if format == "csv":
        visit.require("reading:export")
    found = await readings(visit.connection, datastream, bucket=bucket, span=span, page=page)
    if format == "json":
        return found
    what = f"datastream/{datastream}/readings"
    site_id = await site_of_datastream(visit.connection, datastream)
    values = {"n": len(found.items)}
    await visit.record("export", what, site_id=site_id, values=values)
    links = {"Link": f'<{request.url.include_query_params(cursor=found.next)}>; rel="next"'}
    return Response(
        as_csv(found, Aggregate if bucket else Reading),
        media_type="text/csv; charset=utf-8",
        headers=links if found.next else {},
    )
