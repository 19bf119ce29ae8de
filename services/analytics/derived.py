"""Derived datastreams: the series a pilot kind owns beside what its devices report."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, Row, text

from services.analytics.pilot import Pilot, PilotParamsError
from shared.domain.property import PROPERTIES

Place = tuple[int, str, str]  # device id, property, channel

_THERE: Final = text("""
    SELECT device_id, property, channel, datastream.id, derived_by, device.key AS device
    FROM unnest(CAST(:devices AS int[]), CAST(:properties AS text[]), CAST(:channels AS text[]))
        AS wanted(device_id, property, channel)
    JOIN datastream USING (device_id, property, channel)
    JOIN device ON device.id = device_id
""")
_MAKE: Final = text("""
    INSERT INTO datastream (device_id, property, channel, unit, derived_by)
    SELECT device_id, property, channel, unit, :owner
    FROM unnest(CAST(:devices AS int[]), CAST(:properties AS text[]), CAST(:channels AS text[]),
                CAST(:units AS text[])) AS wanted(device_id, property, channel, unit)
    ON CONFLICT DO NOTHING
""")
_OTHERS: Final = text("""
    SELECT datastream.id FROM datastream JOIN device ON device.id = datastream.device_id
    WHERE device.pilot_id = :pilot_id AND derived_by = :owner
      AND NOT datastream.id = ANY(CAST(:kept AS int[]))
    ORDER BY datastream.id
""")


def owned(
    connection: Connection, pilot: Pilot, owner: str, wanted: Collection[Place]
) -> dict[Place, int]:
    """Ids of the derived datastreams of `owner` at these places, made where missing.

    Raises PilotParamsError where the device itself reports such a series.
    """
    rows = _there(connection, wanted)
    # Not tried each time: an insert that conflicts uses up an id too.
    if missing := set(wanted) - rows.keys():
        units = [PROPERTIES[name].unit for _, name, _ in sorted(missing)]
        connection.execute(_MAKE, {**_columns(sorted(missing)), "units": units, "owner": owner})
        rows |= _there(connection, missing)
    for (_, name, channel), row in rows.items():
        if row.derived_by != owner:
            raise PilotParamsError(
                f"{pilot.key}: device {row.device} itself reports {name}"
                f"{f' in channel {channel}' if channel else ''}:"
                " give that field a channel of its own"
            )
    return {place: int(row.id) for place, row in rows.items()}


def existing(connection: Connection, owner: str, places: Collection[Place]) -> dict[Place, int]:
    """Ids of those of these places that hold a derived datastream of `owner`."""
    rows = _there(connection, places)
    return {place: int(row.id) for place, row in rows.items() if row.derived_by == owner}


def others(connection: Connection, pilot: Pilot, owner: str, kept: Collection[int]) -> list[int]:
    """Ids of what `owner` derived in this pilot beside `kept`, as for params it once had."""
    scope = {"pilot_id": pilot.id, "owner": owner, "kept": list(kept)}
    return [int(number) for number in connection.scalars(_OTHERS, scope)]


def _there(connection: Connection, places: Collection[Place]) -> dict[Place, Row[tuple[object]]]:
    rows = connection.execute(_THERE, _columns(places)) if places else ()
    return {(row.device_id, row.property, row.channel): row for row in rows}


def _columns(places: Collection[Place]) -> dict[str, object]:
    return {
        "devices": [device for device, _, _ in places],
        "properties": [name for _, name, _ in places],
        "channels": [channel for _, _, channel in places],
    }
