"""How much an area was used: occupancy and arrivals per local hour, turnover and stay per day."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.analytics import local_time
from services.analytics.methods import parking
from services.analytics.methods.parking import Flags, Floats, Spans, Stays
from services.analytics.pilots.parking.params import Settings
from services.analytics.pilots.parking.spaces import (
    ARRIVALS,
    OCCUPANCY,
    STAY_MEAN,
    TURNOVER,
    Area,
    Space,
)
from services.analytics.series import Derived, Series
from shared.domain.quality import Quality

KNOWN: Final = 0.75  # share of an area's space-hours that must be known (air practice)
DECIMALS: Final = 6
_NOTHING: Final = np.empty(0), np.empty(0, dtype=bool)
NO_STAYS: Final = Stays(_NOTHING[0], _NOTHING[0], _NOTHING[1], _NOTHING[1])


class Used(NamedTuple):
    """One space over m hours. occupied: space-seconds taken; known: space-seconds known (m,);
    excess: a count above capacity (m,); arrivals (m,); stays: empty for a counted car park."""

    occupied: Floats
    known: Floats
    excess: Flags
    arrivals: Floats
    stays: Stays


def stays(space: Space, readings: Series, until: float, settings: Settings) -> Stays:
    """The stays in a bay from readings that begin while it is vacant."""
    return parking.stays(
        readings.time,
        readings.value >= 0.5,
        until=until,
        hold=space.hold,
        merge=settings.merge,
        shortest=settings.shortest,
    )


def taken(space: Space, readings: Series, until: float, settings: Settings) -> Spans:
    """When how many of its spaces were taken."""
    if space.bay:
        found = stays(space, readings, until, settings)
        return Spans(found.start, found.stop - found.start, np.ones(len(found.start)))
    return Spans(readings.time, parking.lengths(readings.time, space.hold), readings.value)


def known(space: Space, readings: Series) -> Spans:
    """When how many of its spaces were known to be free or taken."""
    length = parking.lengths(readings.time, space.hold)
    return Spans(readings.time, length, np.full(len(length), space.capacity))


def used(space: Space, readings: Series, edges: Floats, until: float, settings: Settings) -> Used:
    """The use of a space in each hour edges[i] … edges[i+1]; edges (m + 1,) s, none after `until`.

    readings: from before the first edge. A reading holds until the next, for at most space.hold.
    """
    seconds, sure = (
        np.diff(parking.elapsed(edges, spans))
        for spans in (taken(space, readings, until, settings), known(space, readings))
    )
    if space.bay:
        found = stays(space, readings, until, settings)
        arrivals = np.histogram(found.start[found.arrived], edges)[0].astype(np.float64)
        return Used(seconds, sure, np.zeros(len(sure), dtype=bool), arrivals, found)
    above = (readings.value > (space.capacity or 0.0)).astype(np.float64)
    excess = np.diff(parking.elapsed(edges, known(space, readings)._replace(weight=above))) > 0
    return Used(seconds, sure, excess, np.zeros(len(sure)), NO_STAYS)


def yielded(
    area: Area, use: Mapping[int, Used], hours: Floats, days: Floats
) -> dict[str, list[Derived]]:
    """What an area's spaces give by property.

    hours (m + 1,), days (k + 1,) s: edges of complete local hours and days, every day's edge
    also an hour's. An hour or day of which less than three quarters is known is suspect; one
    of which nothing is known is left out.
    """
    parts = [use[space.id] for space in area.spaces]
    occupied, known, arrivals = (
        np.sum([getattr(part, name) for part in parts], axis=0)
        for name in ("occupied", "known", "arrivals")
    )
    excess = np.any([part.excess for part in parts], axis=0)
    full = area.capacity * np.diff(hours)
    heard, sure = known > 0, known >= KNOWN * full
    rate = 100 * np.divide(occupied, known, out=np.zeros(len(known)), where=heard)
    found = {OCCUPANCY: _derived(hours, rate, heard, sure & ~excess)}
    if STAY_MEAN not in area.derives:
        return found
    by_day = np.searchsorted(days, hours[:-1], side="right") - 1
    inside = (by_day >= 0) & (by_day < len(days) - 1)
    daily_known, daily_arrivals = (
        np.bincount(by_day[inside], part[inside], max(len(days) - 1, 0))
        for part in (known, arrivals)
    )
    daily_sure = daily_known >= KNOWN * area.capacity * np.diff(days)
    mean, ended = _mean_stay([part.stays for part in parts], days)
    return {
        **found,
        ARRIVALS: _derived(hours, arrivals, heard, sure),
        TURNOVER: _derived(days, daily_arrivals / area.capacity, daily_known > 0, daily_sure),
        STAY_MEAN: _derived(days, mean / 60, ended > 0, daily_sure),
    }


def _mean_stay(each: Sequence[Stays], days: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Mean (s) and number of the stays wholly seen that ended on each day."""
    whole = [part.arrived & part.departed for part in each]
    stop = np.concatenate([part.stop[seen] for part, seen in zip(each, whole, strict=True)])
    start = np.concatenate([part.start[seen] for part, seen in zip(each, whole, strict=True)])
    if len(days) < 2:
        return np.zeros(0), np.zeros(0, dtype=np.int64)
    order = np.lexsort((start, stop))
    number = np.histogram(stop, days)[0]
    total = np.histogram(stop[order], days, weights=(stop - start)[order])[0]
    return np.divide(total, number, out=np.zeros(len(number)), where=number > 0), number


def _derived(edges: Floats, value: Floats, heard: Flags, sure: Flags) -> list[Derived]:
    return [
        Derived(
            local_time.at(edges[i]),
            round(float(value[i]), DECIMALS),
            Quality.GOOD if sure[i] else Quality.SUSPECT,
        )
        for i in np.flatnonzero(heard)
    ]
