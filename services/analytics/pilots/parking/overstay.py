"""Stays beyond the limit: findings on the bay, open while the car stands there."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from math import isfinite, isinf
from typing import Final

from sqlalchemy import Connection

from services.analytics import findings, local_time
from services.analytics.findings import Found
from services.analytics.methods.parking import Stays
from services.analytics.pilot import Pilot
from services.analytics.pilots.parking.params import Settings
from services.analytics.pilots.parking.spaces import INSTANT, Space
from services.analytics.pilots.parking.use import stays
from services.analytics.series import Series

FINDING: Final = "overstay"


def judge(
    connection: Connection,
    pilot: Pilot,
    present: datetime,
    said: Settings,
    bays: Sequence[Space],
    starts: Mapping[int, datetime],
    readings: Mapping[int, Series],
) -> dict[int, datetime]:
    """Bring the overstays of these bays up to date from where they were vacant; returns when each
    may have another."""
    now = present.timestamp()
    # A stay that ended where the bay was last vacant is over and done with.
    since = {number: start + timedelta(microseconds=1) for number, start in starts.items()}
    before = findings.standing(connection, pilot.id, (FINDING,), since) if bays else {}
    due: dict[int, datetime] = {}
    for bay in bays:
        own = readings[bay.id]
        seen = stays(bay, own, now, said)
        limit = said.limit_of(bay.device)
        findings.reconcile(
            connection,
            pilot_id=pilot.id,
            datastream_id=bay.id,
            origin=pilot.origin,
            before=before[bay.id],
            now=overstays(seen, now, limit, said.grace),
        )
        moment = _look_again(own, seen, now, limit + said.grace, bay.hold)
        if moment:
            due[bay.id] = moment
    return due


def overstays(seen: Stays, present: float, limit: float, grace: float) -> list[Found]:
    """A finding for each stay longer than `limit` + `grace`, all in s, at the present.

    started_at: when the limit was reached; ended_at: when the bay was left or last known to be
    taken, null while the stay lasts.
    """
    found = []
    for start, stop, arrived, departed in zip(*seen, strict=True):
        if not min(stop, present) - start > limit + grace:
            continue
        lasts = isinf(stop)
        found.append(
            Found(
                FINDING,
                "warning",
                started_at=local_time.at(start + limit),
                ended_at=None if lasts else local_time.at(stop),
                evidence={
                    "occupied_since": local_time.at(start).isoformat(),
                    "arrival_seen": bool(arrived),
                    "departure_seen": None if lasts else bool(departed),
                    "limit_min": limit / 60,
                    "stay_min": None if lasts else round((stop - start) / 60, 3),
                },
            )
        )
    return found


def _look_again(
    own: Series, seen: Stays, present: float, longest: float, hold: float
) -> datetime | None:
    """When a stay that lasts passes its limit or is no longer known to last."""
    if not len(seen.start) or not isinf(seen.stop[-1]):
        return None
    moments = [seen.start[-1] + longest, own.time[-1] + hold]
    later = [moment for moment in moments if isfinite(moment) and moment >= present]
    return local_time.at(min(later)) + INSTANT if later else None
