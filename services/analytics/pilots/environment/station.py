"""Stations: what one channel of one device measures, and the series derived beside it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from services.analytics.pilot import Pilot, PilotParamsError, Touched
from shared.domain.property import PROPERTIES

OWNER: Final = "environment"
Part = tuple[str, str]  # property and what it is of, "" for the station as a whole

_INPUTS: Final = text("""
    SELECT id, device_id, property, channel FROM datastream
    WHERE device_id = ANY(CAST(:devices AS int[])) AND derived_by IS NULL
      AND property = ANY(CAST(:properties AS text[]))
    ORDER BY id
""")
_MAKE: Final = text("""
    INSERT INTO datastream (device_id, property, channel, unit, derived_by)
    SELECT :device, property, channel, unit, :owner
    FROM unnest(CAST(:properties AS text[]), CAST(:channels AS text[]), CAST(:units AS text[]))
        AS wanted(property, channel, unit)
    ON CONFLICT DO NOTHING
""")
_OWNED: Final = text("""
    SELECT id, property, channel FROM datastream
    WHERE device_id = :device AND derived_by = :owner
""")


@dataclass(frozen=True, slots=True)
class Station:
    """inputs: datastream ids by property; touched: the earliest hour that may differ, by id."""

    device_id: int
    device: str
    channel: str
    inputs: Mapping[str, int]
    touched: Mapping[int, datetime]

    def channel_of(self, part: Part) -> str:
        """The channel a derived series stands in: pollutant or parameter after the station's."""
        return ".".join(each for each in (self.channel, part[1]) if each)


def stations(
    connection: Connection, touched: Touched, properties: Collection[str]
) -> list[Station]:
    """The stations of the touched datastreams, with all that they measure of `properties`."""
    scope = {"devices": [each.device_id for each in touched], "properties": list(properties)}
    inputs: dict[tuple[int, str], dict[str, int]] = {}
    for row in connection.execute(_INPUTS, scope):
        inputs.setdefault((row.device_id, row.channel), {})[row.property] = row.id
    names = {(each.device_id, each.channel): each.device for each in touched}
    return [
        Station(
            device_id=place[0],
            device=device,
            channel=place[1],
            inputs=inputs[place],
            touched={
                each.id: hour
                for each, hour in touched.items()
                if (each.device_id, each.channel) == place
            },
        )
        for place, device in names.items()
    ]


def make(connection: Connection, station: Station, wanted: Sequence[Part]) -> None:
    """Make derived series of a station that are missing."""
    connection.execute(
        _MAKE,
        {
            "device": station.device_id,
            "owner": OWNER,
            "properties": [name for name, _ in wanted],
            "channels": [station.channel_of(part) for part in wanted],
            "units": [PROPERTIES[name].unit for name, _ in wanted],
        },
    )


def owned(
    connection: Connection,
    pilot: Pilot,
    station: Station,
    possible: Collection[Part],
    needed: Collection[Part],
) -> dict[Part, int]:
    """Ids of those of `possible` that are there as derived series of a station.

    Raises PilotParamsError where the device itself reports one that is needed.
    """
    scope = {"device": station.device_id, "owner": OWNER}
    found = {(row.property, row.channel): row.id for row in connection.execute(_OWNED, scope)}
    ids = {
        part: found[part[0], station.channel_of(part)]
        for part in possible
        if (part[0], station.channel_of(part)) in found
    }
    for name, _ in (part for part in needed if part not in ids):
        raise PilotParamsError(
            f"{pilot.key}: device {station.device} itself reports {name}:"
            " give that field a channel of its own"
        )
    return ids
