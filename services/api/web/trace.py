"""Why a reading is missing: what arrived of a device, what was refused, which frames never came.

Asked for by whatever an operator has at hand: a key, an EUI in any spelling, a part of a topic.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import and_, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.listing import Page, Range
from services.api.refusals import Chosen, Refusal, conditions, joined, refusals
from services.api.resources.devices import Device
from services.api.web.status import SILENT_AFTER
from shared.db.tables import ledger, rejected, uplink

SHOWN: Final = 5
LONGEST: Final = 200
FRAME_GAP: Final = "frame_gap"
SILENT: Final = "silent"
NOTHING: Final = "nothing"
PERIODS: Final = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}
# What no repetition can mend is not offered for it.
_REDRIVEN: Final = frozenset(
    {
        *("unknown_device", "unknown_source", "unknown_adapter", "wrong_source", "bad_clock"),
        *("bad_message", "unsupported_event", "db_refused", "internal_error"),
    }
)


@dataclass(frozen=True)
class Cause:
    """One reason for which readings are missing; times of receipt, of frame gaps their hours."""

    reason: str
    scope: str
    count: int
    first: datetime | None = None
    last: datetime | None = None
    newest: Sequence[Refusal] = ()
    hours: Sequence[tuple[datetime, int]] = ()

    @property
    def redriven(self) -> bool:
        """Whether taking the messages in after all may help, once the cause is mended."""
        return self.scope == "message" and self.reason in _REDRIVEN


@dataclass(frozen=True)
class Trace:
    """What is known of one device, or of a name that no device has."""

    device: Device | None
    heard_at: datetime | None
    stored: int
    causes: Sequence[Cause]

    @property
    def refused(self) -> int:
        """Whole messages."""
        return sum(each.count for each in self.causes if each.scope == "message")

    @property
    def gaps(self) -> int:
        return sum(each.count for each in self.causes if each.reason == FRAME_GAP)


def matching(asked: str, known: Sequence[Device]) -> list[Device]:
    """The devices an operator may mean: by key, by identity in any spelling, by topic."""
    words = {asked.lower(), *asked.lower().split("/")}
    bare = spelt(asked)
    return [
        each
        for each in known
        if each.key in words
        or (each.external_id and (each.external_id in words or spelt(each.external_id) == bare))
    ][:SHOWN]


def spelt(identity: str) -> str:
    """An EUI as ingest writes it: without its kind, colons, dashes and spaces."""
    return re.sub(r"[\s:.-]", "", re.sub(r"^(eui|imei|client):", "", identity.strip().lower()))


async def of_device(
    connection: AsyncConnection, one: Device, now: datetime, since: datetime
) -> Trace:
    """What became of the messages of a registered device."""
    heard = await connection.scalar(
        select(uplink.c.received_at)
        .where(uplink.c.device_id == one.id)
        .order_by(uplink.c.observed_at.desc())
        .limit(1)
    )
    # Bytes that cannot be read name no device: its topic does.
    named = (spelt(one.external_id),) if one.external_id else (f"/{one.site}/{one.key}/",)
    own = or_(
        rejected.c.device_id == one.id,
        and_(rejected.c.device_id.is_(None), *conditions(Chosen(about=named))),
    )
    causes = await _refused(connection, own, Chosen(device_id=one.id), named, since)
    stored, gaps = await _counted(connection, one.id, since)
    if gaps:
        count = sum(n for _, n in gaps)
        causes.append(Cause(FRAME_GAP, "frame", count, gaps[-1][0], gaps[0][0], hours=gaps[:SHOWN]))
    causes.sort(key=lambda each: each.last or since, reverse=True)
    arriving = any(each.scope == "message" and _after(each.last, heard) for each in causes)
    if not arriving and _is_silent(one, heard, now):
        causes.insert(0, Cause(SILENT, "none", 0, last=heard))
    return Trace(one, heard, stored, causes)


async def of_name(connection: AsyncConnection, asked: str, since: datetime) -> Trace:
    """What was refused that names something no device is called."""
    named = tuple({asked.lower(), spelt(asked)} - {""})
    about = and_(*conditions(Chosen(about=named)))
    causes = await _refused(connection, about, Chosen(), named, since)
    return Trace(None, None, 0, causes or [Cause(NOTHING, "none", 0)])


def _after(last: datetime | None, heard: datetime | None) -> bool:
    return last is not None and (heard is None or last > heard)


def _is_silent(one: Device, heard: datetime | None, now: datetime) -> bool:
    if one.cancelled and one.cancelled <= now:
        return False
    if heard is None:
        return True
    late = timedelta(seconds=SILENT_AFTER * one.interval_s) if one.interval_s else None
    return one.origin == "measured" and late is not None and now - heard > late


async def _refused(
    connection: AsyncConnection,
    which: Any,
    chosen: Chosen,
    named: Sequence[str],
    since: datetime,
) -> list[Cause]:
    counted = await connection.execute(
        joined(
            select(
                rejected.c.reason,
                rejected.c.scope,
                func.count().label("n"),
                func.min(rejected.c.received_at).label("first"),
                func.max(rejected.c.received_at).label("last"),
                func.bool_or(rejected.c.device_id.is_not(None)).label("known"),
            )
        )
        .where(which, rejected.c.received_at >= since)
        .group_by(rejected.c.reason, rejected.c.scope)
    )
    causes = []
    for row in counted.all():
        by = chosen.device_id if row.known else None
        pick = Chosen(
            device_id=by,
            reason=row.reason,
            scope=row.scope,
            about=() if by else named,
            span=Range(since),
        )
        newest = (await refusals(connection, pick, page=Page(SHOWN))).items
        causes.append(Cause(row.reason, row.scope, row.n, row.first, row.last, newest))
    return causes


async def _counted(
    connection: AsyncConnection, device_id: int, since: datetime
) -> tuple[int, list[tuple[datetime, int]]]:
    """Messages stored, and the hours with missing frames, the newest first."""
    n = case((ledger.c.n > 0, ledger.c.n), else_=0)
    rows = await connection.execute(
        select(ledger.c.kind, ledger.c.hour, func.sum(n).label("n"))
        .where(ledger.c.device_id == device_id, ledger.c.kind.in_(("stored", FRAME_GAP)))
        .where(ledger.c.hour >= since - timedelta(hours=1))
        .group_by(ledger.c.kind, ledger.c.hour)
        .order_by(ledger.c.hour.desc())
    )
    found = rows.all()
    gaps = [(row.hour, int(row.n)) for row in found if row.kind == FRAME_GAP and row.n]
    return sum(int(row.n) for row in found if row.kind == "stored"), gaps
