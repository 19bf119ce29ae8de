"""Water quality: each parameter against its limit, and the pollution index, by local hour.

An hour's value is the mean of its readings. The index is computed only in hours that have every
parameter of its list, and of at least three; it is partial unless the list is the standard's.
"""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from math import nan
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from services.analytics import local_time
from services.analytics.findings import Found
from services.analytics.methods import hourly, pollution
from services.analytics.pilots.environment.episodes import Episode, episodes
from services.analytics.pilots.environment.settings import Limit, Standard, Water
from services.analytics.series import Derived, Series
from shared.domain.property import PROPERTIES
from shared.domain.quality import Quality

Floats = NDArray[np.float64]
Part = tuple[str, str]  # property and parameter, "" for all of them together

FINDING: Final = "water_quality"
INDEX: Final = "water_pollution_index"
RATIO: Final = "water_limit_ratio"
TEMPERATURE: Final = "water_temperature"
SALINITY: Final = "salinity"
FEWEST: Final = 3  # parameters: of fewer it would be a ratio under another name
BEYOND: Final = (float(np.nextafter(1.0, 2.0)),)  # at the limit is within it
SEVERITY: Final = dict(
    zip(pollution.CLASSES, ("warning", "warning", "alarm", "critical"), strict=True)
)


def parts(measured: Mapping[str, object], water: Water) -> list[Part]:
    """The series derived where these properties are measured; the first is the judged one."""
    limited = dict.fromkeys(name for each in water.standards for name in each.limits)
    own = [name for name in limited if name in measured]
    return [(INDEX, ""), *((RATIO, name) for name in own)] if own else []


def derive(
    readings: Mapping[str, Series], first: date, zone: str, water: Water, present: float
) -> dict[Part, list[Derived]]:
    """Ratios and index from the local day `first` on, of hours that are over.

    readings: by property in canonical unit, from that day (or the beginning) to the newest;
    present: s since 1970.
    """
    found: dict[Part, list[Derived]] = {part: [] for part in parts(readings, water)}
    heard = {name: each for name, each in readings.items() if len(each.time)}
    if not heard or not found:
        return found
    oldest = local_time.local_date(local_time.at(min(s.time[0] for s in heard.values())), zone)
    newest = local_time.local_date(local_time.at(max(s.time[-1] for s in heard.values())), zone)
    edges = local_time.hours(max(first, oldest), newest + timedelta(days=1), zone)
    means = {name: _means(each, edges, present) for name, each in heard.items()}
    for standard, inside in _in_force(water, edges[:-1]):
        now = {name: np.where(inside, mean, nan) for name, mean in means.items()}
        for name, limit in standard.limits.items():
            if (RATIO, name) in found and name in now:
                found[RATIO, name] += _derived(edges, ratio(now[name], limit))
        found[INDEX, ""] += _derived(edges, index(now, standard, water, set(readings)))
    return found


def _means(each: Series, edges: Floats, present: float) -> Floats:
    mean = hourly.means(each.time, each.value, edges)
    mean[~hourly.over(edges, each.time[-1], present)] = nan
    return mean


def _in_force(water: Water, hours: Floats) -> Iterator[tuple[Standard, NDArray[np.bool_]]]:
    """Each standard with the hours it is in force in, oldest first."""
    which = np.searchsorted([each.since for each in water.standards], hours, side="right") - 1
    for number, standard in enumerate(water.standards):
        yield standard, which == number


def ratio(mean: Floats, limit: Limit) -> Floats:
    """1 at the limit, more beyond it. What may not fall: 2 less its share of the limit."""
    if limit.low is None:
        assert limit.high is not None
        return pollution.most(mean, limit.high)
    if limit.high is None:
        return np.maximum(2 - mean / limit.low, 0.0)
    return pollution.between(mean, limit.low, limit.high)


def index(
    means: Mapping[str, Floats], standard: Standard, water: Water, measured: set[str]
) -> Floats:
    """Pollution index (h,) of hourly means (h,), NaN where a parameter of its list is missing."""
    hours = len(next(iter(means.values())))
    names = listed(standard, water, measured)
    if len(names) < FEWEST or not set(names) <= means.keys():
        return np.full(hours, nan)
    saturated = pollution.saturation(
        means.get(TEMPERATURE, np.full(hours, water.temperature)),
        means.get(SALINITY, np.full(hours, water.salinity)),
    )
    return pollution.index(
        np.array([_rated(means[name], standard.limits[name], saturated) for name in names])
    )


def listed(standard: Standard, water: Water, measured: set[str]) -> list[str]:
    """The parameters of the index: the site's list, else all that are measured and limited."""
    wanted = measured if water.parameters is None else set(water.parameters)
    return [name for name in standard.limits if name in wanted]


def _rated(mean: Floats, limit: Limit, saturated: Floats) -> Floats:
    if limit.low is not None and limit.high is None:
        return pollution.least(mean, limit.low, saturated)
    return ratio(mean, limit)


def _derived(edges: Floats, value: Floats) -> list[Derived]:
    return [
        Derived(local_time.at(edges[i]), float(value[i]), Quality.GOOD)
        for i in np.flatnonzero(~np.isnan(value))
    ]


def judge(
    ratios: Mapping[str, Series], indices: Series, water: Water, measured: set[str]
) -> list[Found]:
    """One finding per span in which any parameter is beyond its limit.

    ratios: hourly by parameter, within limits before the first value; indices: hourly.
    """
    return [
        _found(each, indices, water, measured)
        for each in episodes(ratios, BEYOND, water.hysteresis)
    ]


def _found(episode: Episode, indices: Series, water: Water, measured: set[str]) -> Found:
    since = [each.since for each in water.standards]
    standard = water.standards[int(np.searchsorted(since, episode.peak_at, side="right")) - 1]
    limit = standard.limits[episode.critical]
    rated = _worst_index(episode, indices, standard, water, measured)
    return Found(
        kind=FINDING,
        severity=SEVERITY[rated["class"]] if rated else "warning",
        started_at=local_time.at(episode.started),
        ended_at=None if episode.ended is None else local_time.at(episode.ended),
        evidence={
            "critical": episode.critical,
            "limit": f"{limit} {PROPERTIES[episode.critical].unit}",
            "peak_ratio": round(episode.peak, 4),
            "peak_at": local_time.at(episode.peak_at).isoformat(),
            "beyond": ", ".join(episode.beyond),
            **rated,
            "source": standard.source,
        },
    )


def _worst_index(
    episode: Episode, indices: Series, standard: Standard, water: Water, measured: set[str]
) -> dict[str, Any]:
    """Highest index of the span and what it rests on; nothing where it could not be computed."""
    ended = np.inf if episode.ended is None else episode.ended
    inside = indices.value[(indices.time >= episode.started) & (indices.time < ended)]
    if not len(inside):
        return {}
    names = listed(standard, water, measured)
    missing = [name for name in standard.limits if name not in names]
    return {
        "peak_index": round(float(inside.max()), 3),
        "class": pollution.category(float(inside.max())),
        "parameters": ", ".join(names),
        **({"partial_without": ", ".join(missing)} if missing else {}),
        "index_source": pollution.SOURCE,
    }
