"""The spaces of a parking pilot: single bays and counted car parks, and the areas they make up."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from services.analytics import series
from services.analytics.derived import Place
from services.analytics.pilot import Pilot, PilotParamsError
from services.analytics.pilots.parking.params import WHOLE, Settings
from services.analytics.series import Series

NAME: Final = "parking"
BAY, COUNT = "bay_occupied", "parking_occupied"
OCCUPANCY, ARRIVALS = "parking_occupancy", "parking_arrivals"
TURNOVER, STAY_MEAN = "parking_turnover", "parking_stay_mean"
OF_BAYS: Final = (OCCUPANCY, ARRIVALS, TURNOVER, STAY_MEAN)
OF_COUNTS: Final = (OCCUPANCY,)
HOLD_INTERVALS: Final = 3  # as pages call a device silent
COUNT_HOLD_S: Final = 2 * 3600.0  # a bay tells every change, a count has to be repeated
BEGINNING: Final = datetime(1970, 1, 2, tzinfo=UTC)
INSTANT: Final = timedelta(milliseconds=1)  # a limit is passed, not reached


class Space(NamedTuple):
    """One datastream that says how many spaces are taken. capacity: null where not known;
    hold: seconds for which a reading is believed."""

    id: int
    device_id: int
    device: str
    channel: str
    bay: bool
    capacity: float | None
    hold: float


@dataclass(frozen=True, slots=True)
class Area:
    """Spaces taken together. The first one's device carries what is derived, under `channel`."""

    channel: str
    spaces: tuple[Space, ...]

    @property
    def capacity(self) -> float:
        return sum(space.capacity or 0.0 for space in self.spaces)

    @property
    def derives(self) -> tuple[str, ...]:
        """Counts tell no arrivals, so only bays alone have all properties."""
        return OF_BAYS if all(space.bay for space in self.spaces) else OF_COUNTS

    def place(self, name: str) -> Place:
        """Where a derived property of the area is kept."""
        return self.spaces[0].device_id, name, self.channel


class Registered(NamedTuple):
    """A row of the registry; `id` is null for a device that observes nothing of parking."""

    device_id: int
    device: str
    id: int | None
    property: str | None
    channel: str | None
    interval_s: int | None


_REGISTERED: Final = text("""
    SELECT device.id AS device_id, device.key AS device, datastream.id, datastream.property,
           datastream.channel, profile.interval_s
    FROM device
    LEFT JOIN profile ON profile.id = device.profile_id
    LEFT JOIN datastream ON datastream.device_id = device.id AND datastream.derived_by IS NULL
        AND datastream.property IN ('bay_occupied', 'parking_occupied')
    WHERE device.pilot_id = :pilot_id
    ORDER BY datastream.id
""")
# The newest reading before each moment from which a bay was free for longer than noise lasts:
# nothing before it has to do with any stay after it.
_VACANT: Final = text("""
    SELECT part.id, found.time
    FROM unnest(CAST(:ids AS int[]), CAST(:befores AS timestamptz[])) AS part(id, before)
    CROSS JOIN LATERAL (
        SELECT time FROM reading AS free
        WHERE datastream_id = part.id AND time < part.before AND quality <= 2 AND value < 0.5
          AND NOT EXISTS (
            SELECT FROM reading AS next
            WHERE next.datastream_id = part.id AND next.time > free.time
              AND next.time < free.time + make_interval(secs => :merge)
              AND next.quality <= 2 AND next.value >= 0.5)
        ORDER BY time DESC LIMIT 1
    ) AS found
""")
_NEWEST: Final = text("""
    SELECT max(latest.time)
    FROM unnest(CAST(:ids AS int[])) AS part(id) CROSS JOIN LATERAL (
        SELECT time FROM reading WHERE datastream_id = part.id ORDER BY time DESC LIMIT 1
    ) AS latest
""")


def registered(connection: Connection, pilot: Pilot) -> list[Registered]:
    """The pilot's devices with what they observe of parking, oldest datastream first."""
    rows = connection.execute(_REGISTERED, {"pilot_id": pilot.id})
    return [Registered(*row) for row in rows]


def spaces(rows: Sequence[Registered], settings: Settings) -> list[Space]:
    """The spaces among what is registered."""
    return [
        Space(
            row.id,
            row.device_id,
            row.device,
            row.channel or "",
            row.property == BAY,
            1.0 if row.property == BAY else settings.capacity.get(row.device),
            settings.hold or _usual_hold(row),
        )
        for row in rows
        if row.id is not None
    ]


def _usual_hold(row: Registered) -> float:
    if row.interval_s:
        return float(HOLD_INTERVALS * row.interval_s)
    return inf if row.property == BAY else COUNT_HOLD_S


def areas(pilot: Pilot, every: Sequence[Space], settings: Settings) -> list[Area]:
    """The whole pilot, its zones, and each counted car park; none without a known capacity."""
    known = tuple(space for space in every if space.capacity is not None)
    counted = [Area(space.channel, (space,)) for space in known if not space.bay]
    zones = [
        Area(zone, tuple(space for space in known if space.device in devices))
        for zone, devices in settings.zones.items()
    ]
    whole = [] if [area.spaces for area in counted] == [known] else [Area(WHOLE, known)]
    made = [area for area in (*whole, *zones, *counted) if area.spaces]
    places = [area.place(OCCUPANCY) for area in made]
    for area, place in zip(made, places, strict=True):
        if places.count(place) > 1:
            raise PilotParamsError(
                f"{pilot.key}: zone {area.channel} is called as a channel of"
                f" {area.spaces[0].device}; rename it"
            )
    return made


def vacancies(
    connection: Connection, befores: Mapping[int, datetime], merge: float
) -> dict[int, datetime]:
    """Where to read each bay from, so that every stay that reaches its moment is whole."""
    scope = {"ids": list(befores), "befores": list(befores.values()), "merge": merge}
    rows = connection.execute(_VACANT, scope)
    return {**dict.fromkeys(befores, BEGINNING), **{row.id: row.time for row in rows}}


def readings(
    connection: Connection, every: Collection[Space], settings: Settings, begin: datetime
) -> dict[int, Series]:
    """Readings of each space from before `begin` on, so that its state there is known."""
    bays = {space.id: begin for space in every if space.bay}
    counts = {space.id: begin for space in every if not space.bay}
    starts = vacancies(connection, bays, settings.merge) | series.back(connection, counts, 1)
    return series.usable(connection, starts)


def newest(connection: Connection, numbers: Collection[int]) -> datetime | None:
    """The time of the newest reading of these datastreams."""
    found: datetime | None = connection.scalar(_NEWEST, {"ids": list(numbers)})
    return found
