"""Datastreams of a leakage pilot: the flows and levels it reads, the series it owns."""

from collections.abc import Collection
from math import ceil
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from services.analytics.pilot import Pilot, PilotParamsError
from services.analytics.pilots.leakage.params import Area
from shared.domain.property import PROPERTIES

NAME: Final = "leakage"
FLOW, LEVEL = "flow", "water_level"
HOURLY, NIGHTLY = "net_inflow", "night_flow"
ENOUGH: Final = 0.5  # share of the readings due in an hour that tell its mean


class Meter(NamedTuple):
    """A datastream of the pilot; least: readings that tell an hour's mean."""

    id: int
    device_id: int
    least: int


Meters = dict[tuple[str, str], Meter]  # by device and property


def members(area: Area) -> list[tuple[str, str]]:
    """Device and property of all that tells an area's net inflow."""
    flows = [(device, FLOW) for device in (*area.inflows, *area.outflows)]
    return [*flows, *((device, LEVEL) for device, _ in area.tanks)]


def meters(connection: Connection, pilot: Pilot) -> Meters:
    """Every flow and level of the pilot, touched or not."""
    found: Meters = {}
    scope = {"pilot_id": pilot.id, "properties": [FLOW, LEVEL]}
    for row in connection.execute(_METERS, scope):
        if (row.device, row.property) in found:
            raise PilotParamsError(
                f"{pilot.key}: device {row.device} reports {row.property} twice:"
                " give each channel a device of its own"
            )
        due = 3600 / row.interval_s if row.interval_s else 1
        least = max(1, ceil(ENOUGH * due))
        found[row.device, row.property] = Meter(row.id, row.device_id, least)
    return found


def owned(connection: Connection, meters: Meters, area: Area) -> dict[str, int]:
    """Ids of the derived datastreams of an area, made where missing: they stand beside its first
    inflow, in a channel named for it."""
    device = meters[area.inflows[0], FLOW].device_id
    return {name: _own(connection, device, area, name) for name in (HOURLY, NIGHTLY)}


def _own(connection: Connection, device: int, area: Area, name: str) -> int:
    said = {"device": device, "property": name, "channel": area.key}
    row = connection.execute(_FIND, said).one_or_none()
    if row is None:  # not tried each time: an insert that conflicts uses up an id too
        making = {**said, "unit": PROPERTIES[name].unit, "owner": NAME}
        row = connection.execute(_MAKE, making).one()
    if row.derived_by != NAME:
        raise PilotParamsError(
            f"areas.{area.key}: device {area.inflows[0]} itself reports {name} in a channel of"
            " that name: give that field another channel"
        )
    return int(row.id)


def others(connection: Connection, pilot: Pilot, kept: Collection[int]) -> list[int]:
    """Ids of series derived for areas that the params no longer have."""
    scope = {"pilot_id": pilot.id, "owner": NAME, "kept": list(kept)}
    return [int(row.id) for row in connection.execute(_OTHERS, scope)]


_METERS: Final = text("""
    SELECT datastream.id, device.id AS device_id, device.key AS device, property, interval_s
    FROM device
    JOIN datastream ON datastream.device_id = device.id
    LEFT JOIN profile ON profile.id = device.profile_id
    WHERE device.pilot_id = :pilot_id AND derived_by IS NULL
      AND property = ANY(CAST(:properties AS text[]))
    ORDER BY datastream.id
""")
_MAKE: Final = text("""
    INSERT INTO datastream (device_id, property, channel, unit, derived_by)
    VALUES (:device, :property, :channel, :unit, :owner)
    RETURNING id, derived_by
""")
_FIND: Final = text("""
    SELECT id, derived_by FROM datastream
    WHERE device_id = :device AND property = :property AND channel = :channel
""")
_OTHERS: Final = text("""
    SELECT datastream.id FROM datastream JOIN device ON device.id = datastream.device_id
    WHERE device.pilot_id = :pilot_id AND derived_by = :owner
      AND NOT datastream.id = ANY(CAST(:kept AS int[]))
""")
