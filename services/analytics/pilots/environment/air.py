"""Air quality: ISPU of each pollutant and their maximum, by hour and by local day.

The index of an hour stands for the 24 hours that end with it, the index of a day for the local
day; both need 75 % of their hours. What is not measured is not in the maximum: a partial index is
a lower bound, and every finding says what it rests on.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.analytics import local_time
from services.analytics.findings import Found
from services.analytics.methods import hourly, ispu
from services.analytics.pilots.environment.episodes import Episode, episodes
from services.analytics.series import Derived, Series
from shared.domain.quality import Quality

Floats = NDArray[np.float64]
Part = tuple[str, str]  # property and pollutant, "" for all of them together

FINDING: Final = "air_quality"
TOTAL: Final = "ispu"
EACH: Final = "ispu_pollutant"
TOTAL_DAILY: Final = "ispu_daily"
EACH_DAILY: Final = "ispu_pollutant_daily"
POLLUTANTS: Final = tuple(ispu.CONCENTRATIONS)
UNHEALTHY: Final = ispu.FROM[1:]
SEVERITIES: Final = ("warning", "alarm", "critical")  # unhealthy, very unhealthy, hazardous


def parts(measured: Mapping[str, object]) -> list[Part]:
    """The series derived where these properties are measured; the first is the judged one."""
    own = [name for name in POLLUTANTS if name in measured]
    if not own:
        return []
    totals = [(TOTAL, ""), (TOTAL_DAILY, "")]
    return totals + [(name, each) for name in (EACH, EACH_DAILY) for each in own]


def derive(
    readings: Mapping[str, Series], first: date, zone: str, present: float
) -> dict[Part, list[Derived]]:
    """The indices from the local day `first` on, of hours and days that are over.

    readings: ug/m3 by pollutant, from two days before `first` (or the beginning) to the newest;
    present: s since 1970.
    """
    heard = {name: each for name, each in readings.items() if len(each.time)}
    found: dict[Part, list[Derived]] = {part: [] for part in parts(readings)}
    if not heard:
        return found
    oldest = local_time.local_date(local_time.at(min(s.time[0] for s in heard.values())), zone)
    newest = local_time.local_date(local_time.at(max(s.time[-1] for s in heard.values())), zone)
    first = max(first, oldest)
    start, past = first - timedelta(days=2), newest + timedelta(days=1)
    edges, midnights = local_time.hours(start, past, zone), local_time.midnights(start, past, zone)
    bounds = np.searchsorted(edges, midnights)
    by_hour: dict[str, Floats] = {}
    by_day: dict[str, Floats] = {}
    for name, each in heard.items():
        mean = hourly.means(each.time, each.value, edges)
        mean[~hourly.over(edges, each.time[-1], present)] = np.nan
        for found_in, edge, means in (
            (by_hour, edges, hourly.running(mean)),
            (by_day, midnights, hourly.by_day(mean, bounds)),
        ):
            index = ispu.rounded(ispu.index(name, means))
            index[~hourly.over(edge, each.time[-1], present)] = np.nan
            found_in[name] = index
    since = midnights[2]
    for (total, of_each), starts, values in (
        ((TOTAL, EACH), edges[:-1], by_hour),
        ((TOTAL_DAILY, EACH_DAILY), midnights[:-1], by_day),
    ):
        highest = np.fmax.reduce(list(values.values()))
        found[total, ""] = _derived(starts, highest, since)
        for name, value in values.items():
            found[of_each, name] = _derived(starts, value, since)
    return found


def _derived(starts: Floats, value: Floats, since: float) -> list[Derived]:
    return [
        Derived(local_time.at(starts[i]), float(value[i]), Quality.GOOD)
        for i in np.flatnonzero(~np.isnan(value) & (starts >= since))
    ]


def judge(each: Mapping[str, Series], margin: float) -> list[Found]:
    """One finding per span with an index in an unhealthy category or worse.

    each: rounded hourly index by pollutant, healthy before its first value.
    """
    return [_found(episode) for episode in episodes(each, UNHEALTHY, margin)]


def _found(episode: Episode) -> Found:
    missing = [name for name in POLLUTANTS if name not in episode.known]
    return Found(
        kind=FINDING,
        severity=SEVERITIES[episode.worst - 1],
        started_at=local_time.at(episode.started),
        ended_at=None if episode.ended is None else local_time.at(episode.ended),
        evidence={
            "category": ispu.category(episode.peak),
            "peak_index": episode.peak,
            "peak_at": local_time.at(episode.peak_at).isoformat(),
            "critical": episode.critical,
            "pollutants": ", ".join(episode.known),
            **({"partial_without": ", ".join(missing)} if missing else {}),
            **({"capped": True} if episode.peak >= ispu.BOUNDS[-1] else {}),
            "source": ispu.SOURCE,
            "transitions": [
                {
                    "at": local_time.at(time).isoformat(),
                    "category": ispu.CATEGORIES[level + 1] if level else "moderate or better",
                }
                for time, level in episode.levels
            ],
        },
    )
