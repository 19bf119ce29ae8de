"""The ledger: nothing vanishes, and here are the counts that show it."""

import asyncio
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from pydantic import Field

from services.api.access.guard import Router, needs
from services.api.access.visit import Visit
from services.api.deps import NUMBER, DeviceKey, SiteKey, SourceKey, TimeRange, Visitor, paged
from services.api.listing import Listing, Page, Payload, cut, from_micros, micros
from shared.broker_monitor import NOT_SET, MonitorUnreachable, pending
from shared.db import ledger

ONLY_WHOLE: Final = "the broker counts for the whole platform, not for your sites alone"
FRAME_GAPS: Final = (
    "frame counters that never arrived, by the hour of the next frame; cause unknown, not in the"
    " equation"
)


class Totals(Payload):
    """Distinct message keys of your sites; published = stored + rejected + pending."""

    published: int | None = Field(examples=[None])
    published_reason: str | None = Field(description="why `published` is null")
    stored: int
    rejected: int
    pending: int | None = Field(description="accepted by the broker and not acknowledged yet")
    pending_reason: str | None = Field(description="why `pending` is null")
    repeats: int = Field(description="keys seen again; not in the equation")
    rejected_items: int = Field(description="parts of stored messages; not in the equation")
    unkeyed: int = Field(description="stored without anything to recognise a repeat by")
    frame_gaps: int = Field(description=FRAME_GAPS)


class Cell(Payload):
    """Counts of one source, device and UTC hour of first receipt."""

    site: str | None = Field(examples=["cibinong"])
    source: str | None = Field(
        description="null: no source covers the topic any more", examples=["gateway"]
    )
    device: str | None = Field(description="null: no device was recognised", examples=["gauge-1"])
    hour: datetime
    stored: int
    rejected: dict[str, int] = Field(examples=[{"bad_json": 2}])
    repeats: int
    rejected_items: int = Field(description="sum of `item_reasons`")
    item_reasons: dict[str, int] = Field(examples=[{"no_decoder": 1}])
    unkeyed: int
    frame_gaps: int = Field(description=FRAME_GAPS)


class Ledger(Listing[Cell]):
    """Totals of all your sites, whatever the filters, and a page of cells, newest first."""

    totals: Totals


router = Router(tags=["ledger"])


async def totals(visit: Visit, monitor_url: str | None) -> Totals:
    """Sums over all that is seen of the ledger, with what the broker still holds."""
    waiting, reason = await _pending(monitor_url) if visit.sites is None else (None, ONLY_WHOLE)
    counted = await visit.connection.run_sync(ledger.totals)
    return Totals(
        published=None,
        published_reason=ledger.UNCOUNTED,
        pending=waiting,
        pending_reason=reason,
        stored=counted.stored,
        rejected=counted.rejected,
        repeats=counted.repeats,
        rejected_items=counted.rejected_items,
        unkeyed=counted.unkeyed,
        frame_gaps=counted.frame_gaps,
    )


async def _pending(monitor_url: str | None) -> tuple[int | None, str | None]:
    if monitor_url is None:
        return None, NOT_SET
    try:
        return await asyncio.to_thread(pending, monitor_url), None
    except MonitorUnreachable as error:
        return None, str(error)


def _cell(cell: ledger.Cell) -> Cell:
    return Cell(
        site=cell.site,
        source=cell.source,
        device=cell.device,
        hour=cell.hour,
        stored=cell.stored,
        rejected=dict(cell.rejected),
        repeats=cell.repeats,
        rejected_items=sum(cell.rejected_items.values()),
        item_reasons=dict(cell.rejected_items),
        unkeyed=cell.unkeyed,
        frame_gaps=cell.frame_gaps,
    )


@router.get("/ledger", summary="Ledger of messages", dependencies=[needs("ledger:read")])
async def _ledger(
    request: Request,
    visit: Visitor,
    span: TimeRange,
    page: Annotated[Page, Depends(paged(NUMBER, NUMBER, NUMBER))],
    site: SiteKey = None,
    source: SourceKey = None,
    device: DeviceKey = None,
) -> Ledger:
    after: Any = (from_micros(page.after[0]), *page.after[1:]) if page.after else None
    connection = visit.connection
    cells = await connection.run_sync(
        ledger.cells,
        site=site,
        source=source,
        device=device,
        start=span.start,
        end=span.end,
        after=after,
        limit=page.limit + 1,
    )
    rows, following = cut(cells, page, _place)
    return Ledger(
        totals=await totals(visit, request.app.state.monitor_url),
        items=[_cell(cell) for cell in rows],
        next=following,
    )


def _place(cell: ledger.Cell) -> tuple[int, ...]:
    hour, source_id, device_id = ledger.place(cell)
    return micros(hour), source_id, device_id
