"""Datastreams of a leakage pilot: the flows and levels it reads, the series it owns."""

from collections.abc import Sequence
from math import ceil
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from services.analytics import derived
from services.analytics.pilot import Pilot, PilotParamsError
from services.analytics.pilots.leakage.params import Area

NAME: Final = "leakage"
FLOW, LEVEL = "flow", "water_level"
HOURLY, NIGHTLY = "net_inflow", "night_flow"
DERIVED: Final = (HOURLY, NIGHTLY)
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


def owned(
    connection: Connection, pilot: Pilot, meters: Meters, areas: Sequence[Area]
) -> dict[str, dict[str, int]]:
    """Ids of the derived datastreams of each area by property: they stand beside its first
    inflow, in a channel named for it."""
    devices = {area.key: meters[area.inflows[0], FLOW].device_id for area in areas}
    wanted = [(device, name, key) for key, device in devices.items() for name in DERIVED]
    made = derived.owned(connection, pilot, NAME, wanted)
    return {
        key: {name: made[device, name, key] for name in DERIVED} for key, device in devices.items()
    }


_METERS: Final = text("""
    SELECT datastream.id, device.id AS device_id, device.key AS device, property, interval_s
    FROM device
    JOIN datastream ON datastream.device_id = device.id
    LEFT JOIN profile ON profile.id = device.profile_id
    WHERE device.pilot_id = :pilot_id AND derived_by IS NULL
      AND property = ANY(CAST(:properties AS text[]))
    ORDER BY datastream.id
""")
