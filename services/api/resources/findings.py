"""Findings: what an analysis found, with severity, confidence and evidence."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field
from sqlalchemy import ColumnElement, Select, and_, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api import handling
from services.api.access.guard import Router, needs
from services.api.deps import BigId, ByTimeAndId, Db, Flag, PilotKey, SiteKey, TimeRange, Word
from services.api.listing import (
    ALWAYS,
    FIRST,
    Listing,
    Page,
    Payload,
    Range,
    cut,
    from_micros,
    micros,
)
from services.api.problem import MISSING, NotFound
from shared.db.tables import datastream, device, finding, pilot, site
from shared.domain.place import Origin

Severity = Literal["info", "warning", "alarm", "critical"]


class Finding(Payload):
    """One finding; times in UTC. ended_at null: still going on."""

    id: int
    site: str = Field(examples=["cibinong"])
    pilot: str = Field(examples=["flood"])
    pilot_id: int
    device: str | None = Field(examples=["gauge-1"])
    device_id: int | None = Field(description="null: about the pilot as a whole")
    datastream_id: int | None = Field(description="null: about a device or the pilot as a whole")
    property: str | None = Field(examples=["water_level"])
    unit: str | None = Field(description="of values of that datastream", examples=["m"])
    kind: str = Field(examples=["flood_warning"])
    severity: Severity
    confidence: float | None = Field(description="0 to 1; null: not estimated")
    started_at: datetime
    ended_at: datetime | None
    active: bool = Field(description="neither ended nor withdrawn")
    state: handling.State = Field(description="what people did about it: see its actions")
    evidence: dict[str, Any] = Field(description="what it rests on, as the analysis wrote it")
    origin: Origin
    created_at: datetime
    withdrawn_at: datetime | None = Field(description="later data undid it")
    superseded_by: int | None = Field(description="the finding that took its place")


class Findings(Listing[Finding]):
    """Findings, the newest start first."""


router = Router(tags=["findings"])
_STATE = handling.state()
_ACTIVE = and_(finding.c.ended_at.is_(None), finding.c.withdrawn_at.is_(None))


async def findings(
    connection: AsyncConnection,
    *,
    site_key: str | None = None,
    pilot_key: str | None = None,
    kind: str | None = None,
    severity: Severity | None = None,
    state: handling.State | None = None,
    device_id: int | None = None,
    active: bool | None = None,
    withdrawn: bool = False,
    undone: bool = False,
    span: Range = ALWAYS,
    page: Page = FIRST,
) -> Findings:
    """Findings overlapping `span`; withdrawn: also those that later data undid; undone: only
    those."""
    wanted = (
        (site.c.key, site_key),
        (pilot.c.key, pilot_key),
        (device.c.id, device_id),
        (finding.c.kind, kind),
        (finding.c.severity, severity),
        (_STATE, state),
    )
    query = _select().where(*(column == value for column, value in wanted if value is not None))
    if active is not None:
        query = query.where(_ACTIVE if active else ~_ACTIVE)
    if undone:
        query = query.where(finding.c.withdrawn_at.is_not(None))
    elif not withdrawn:
        query = query.where(finding.c.withdrawn_at.is_(None))
    query = query.where(*_overlaps(span))
    if page.after:
        place = (from_micros(page.after[0]), page.after[1])
        query = query.where(tuple_(finding.c.started_at, finding.c.id) < tuple_(*place))
    newest_first = query.order_by(finding.c.started_at.desc(), finding.c.id.desc())
    fetched = (await connection.execute(newest_first.limit(page.limit + 1))).all()
    rows, following = cut(fetched, page, lambda row: (micros(row.started_at), row.id))
    return Findings(items=[Finding.model_validate(row) for row in rows], next=following)


async def find_finding(connection: AsyncConnection, finding_id: int) -> Finding:
    """One finding by id, withdrawn or not; raises NotFound."""
    row = (await connection.execute(_select().where(finding.c.id == finding_id))).one_or_none()
    if row is None:
        raise NotFound(f"no finding {finding_id}")
    return Finding.model_validate(row)


def _overlaps(span: Range) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if span.start:
        conditions.append(or_(finding.c.ended_at.is_(None), finding.c.ended_at > span.start))
    if span.end:
        conditions.append(finding.c.started_at < span.end)
    return conditions


def _select() -> Select[Any]:
    return (
        select(
            *(column for column in finding.c if column.name != "device_id"),
            site.c.key.label("site"),
            pilot.c.key.label("pilot"),
            device.c.key.label("device"),
            device.c.id.label("device_id"),
            datastream.c.property,
            datastream.c.unit,
            _ACTIVE.label("active"),
            _STATE.label("state"),
        )
        .join(pilot, pilot.c.id == finding.c.pilot_id)
        .join(site, site.c.id == pilot.c.site_id)
        .outerjoin(datastream, datastream.c.id == finding.c.datastream_id)
        .outerjoin(
            device, device.c.id == func.coalesce(finding.c.device_id, datastream.c.device_id)
        )
    )


@router.get("/findings", summary="Findings", dependencies=[needs("finding:read")])
async def _list(
    connection: Db,
    page: ByTimeAndId,
    span: TimeRange,
    site: SiteKey = None,
    pilot: PilotKey = None,
    kind: Word = None,
    severity: Severity | None = None,
    state: handling.State | None = None,
    active: Flag | None = None,
    withdrawn: Flag = False,
) -> Findings:
    return await findings(
        connection,
        site_key=site,
        pilot_key=pilot,
        kind=kind,
        severity=severity,
        state=state,
        active=active,
        withdrawn=withdrawn,
        span=span,
        page=page,
    )


@router.get(
    "/findings/{finding}",
    summary="One finding",
    responses=MISSING,
    dependencies=[needs("finding:read")],
)
async def _one(connection: Db, finding: BigId) -> Finding:
    return await find_finding(connection, finding)
