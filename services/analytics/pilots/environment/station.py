"""Stations: what one channel of one device measures, and the series derived beside it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from services.analytics import derived
from services.analytics.pilot import Pilot, Touched

OWNER: Final = "environment"
Part = tuple[str, str]  # property and what it is of, "" for the station as a whole

_INPUTS: Final = text("""
    SELECT id, device_id, property, channel FROM datastream
    WHERE device_id = ANY(CAST(:devices AS int[])) AND derived_by IS NULL
      AND property = ANY(CAST(:properties AS text[]))
    ORDER BY id
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


def owned(
    connection: Connection,
    pilot: Pilot,
    station: Station,
    possible: Collection[Part],
    needed: Collection[Part],
) -> dict[Part, int]:
    """Ids of the `needed` derived series of a station, made where missing, and of those others of
    `possible` that are there."""
    places = {
        (station.device_id, part[0], station.channel_of(part)): part
        for part in (*possible, *needed)
    }
    wanted = [place for place, part in places.items() if part in needed]
    derived.owned(connection, pilot, OWNER, wanted)
    found = derived.existing(connection, OWNER, places)
    return {places[place]: number for place, number in found.items()}
