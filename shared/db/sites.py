"""Applying a site file: one transaction, idempotent, with a diff; nothing is ever removed."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Table, select, text
from sqlalchemy.dialects.postgresql import insert

from shared.db import tables
from shared.db.change import REGISTRY_CHANNEL
from shared.domain import topic
from shared.domain.property import PROPERTIES
from shared.site_file import Device, SiteFile, SiteFileError, Source

Row = dict[str, Any]


class Line(NamedTuple):
    """One change: as people read it, and without its values, as the audit keeps it."""

    text: str  # "~ device gauge-1: lat: 1.0 → 2.0"
    names: str  # "~ device gauge-1: lat"


def apply(connection: Connection, file: SiteFile) -> list[str]:
    """As `lines`: the diff as people read it."""
    return [line.text for line in lines(connection, file)]


def lines(connection: Connection, file: SiteFile) -> list[Line]:
    """Bring the tables to what the file says; returns the diff, one line a change.

    Lines begin with + (new) or ~ (changed). Parts the file no longer lists are kept: a device
    ends by `cancelled`, not by deletion. The caller commits, or rolls back for a dry run.
    """
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('livinglab.site'))"))
    _require_zone(connection, file.site.zone)
    site = {**file.site.model_dump()}
    diff, ids = _put(connection, tables.site, [site], scope={})
    scope = {"site_id": ids[file.site.key]}
    known: dict[str, dict[str, int]] = {}
    for table, rows in (
        (tables.source, [_source(file, part) for part in file.sources]),
        (tables.profile, [part.model_dump(mode="json") for part in file.profiles]),
        (tables.pilot, [part.model_dump(mode="json") for part in file.pilots]),
    ):
        more, known[table.name] = _put(connection, table, rows, scope=scope)
        diff += more
    _refuse_shared_topics(connection, file)
    _refuse_taken_ids(connection, file, scope["site_id"])
    more, devices = _put(
        connection, tables.device, [_device(file, d, known) for d in file.devices], scope=scope
    )
    diff += more + _datastreams(connection, file, devices)
    if diff:
        connection.execute(text(f"NOTIFY {REGISTRY_CHANNEL}"))
    return diff


def _source(file: SiteFile, source: Source) -> Row:
    clock = source.clock.model_dump(exclude_none=True) if source.clock else {}
    if "earliest" in clock:
        clock["earliest"] = file.at_zone(clock["earliest"]).isoformat()
    return {**source.model_dump(exclude={"clock"}), "clock": clock}


def _device(file: SiteFile, device: Device, known: Mapping[str, Mapping[str, int]]) -> Row:
    times = {
        name: file.at_zone(moment) if (moment := getattr(device, name)) else None
        for name in ("planned", "commissioned", "cancelled")
    }
    return {
        **times,
        "key": device.key,
        "external_id": device.id,
        "pilot_id": known["pilot"][device.pilot] if device.pilot else None,
        "profile_id": known["profile"][device.profile] if device.profile else None,
        "source_id": known["source"][device.source],
        "lat": device.lat,
        "lon": device.lon,
        "maintenance": [
            [file.at_zone(start).isoformat(), file.at_zone(end).isoformat()]
            for start, end in device.maintenance
        ],
        "origin": device.origin,
        "shift_s": device.shift_s,
    }


def _put(
    connection: Connection, table: Table, rows: Iterable[Row], *, scope: Row
) -> tuple[list[Line], dict[str, int]]:
    """Insert or update rows by key within `scope`; returns diff lines and ids by key."""
    wanted = [*rows]
    present = {
        row["key"]: row
        for row in connection.execute(
            select(table).where(*(table.c[name] == value for name, value in scope.items()))
        ).mappings()
    }
    diff: list[Line] = []
    ids: dict[str, int] = {key: row["id"] for key, row in present.items()}
    for row in wanted:
        old = present.get(row["key"])
        if old is None:
            ids[row["key"]] = connection.scalar(
                insert(table).values(**row, **scope).returning(table.c.id)
            )
            made = f"+ {table.name} {row['key']}"
            diff.append(Line(made, made))
        elif changed := {name: value for name, value in row.items() if old[name] != value}:
            _refuse_new_origin(table, row, old["origin"] if "origin" in changed else None)
            connection.execute(table.update().where(table.c.id == old["id"]).values(**changed))
            told = ", ".join(f"{name}: {old[name]} → {value}" for name, value in changed.items())
            what = f"~ {table.name} {row['key']}"
            diff.append(Line(f"{what}: {told}", f"{what}: {', '.join(changed)}"))
    return diff, ids


def _require_zone(connection: Connection, zone: str) -> None:
    """Hours are cut by the database: a zone only Python knows would refuse every reading."""
    if not connection.scalar(_ZONE_IS_KNOWN, {"zone": zone}):
        raise SiteFileError(f"site: zone: the database knows no time zone {zone!r}")


def _refuse_shared_topics(connection: Connection, file: SiteFile) -> None:
    """A topic belongs to one source: also against other sites, and sources no longer listed."""
    ours = {source.key: source.filters for source in file.sources}
    for site, key, filters in connection.execute(_SOURCES):
        if site == file.site.key and key in ours:
            continue
        for mine, one, other in ((m, o, x) for m in ours for o in ours[m] for x in filters):
            if topic.overlaps(one, other):
                raise SiteFileError(
                    f"sources: filter {one!r} ({mine}) overlaps {other!r} of source {key!r}"
                    f" of site {site!r}, which is kept"
                )


def _refuse_new_origin(table: Table, row: Row, before: str | None) -> None:
    """What was simulated stays simulated: its values would pass for measured ones."""
    if before is not None:
        raise SiteFileError(
            f"{table.name} {row['key']}: its origin is {before} and cannot become {row['origin']}:"
            " give it another key"
        )


def _refuse_taken_ids(connection: Connection, file: SiteFile, site_id: int) -> None:
    """One radio has one owner: an id registered under another key or site is refused."""
    taken = connection.execute(
        select(tables.device.c.external_id, tables.device.c.key, tables.device.c.site_id).where(
            tables.device.c.external_id.in_([d.id for d in file.devices if d.id])
        )
    )
    ours = {device.id: device.key for device in file.devices}
    for external_id, key, owner in taken:
        if (owner, key) != (site_id, ours[external_id]):
            raise SiteFileError(
                f"devices: {external_id} is already registered as {key!r}: give that one another id"
            )


def _datastreams(connection: Connection, file: SiteFile, devices: Mapping[str, int]) -> list[Line]:
    fields = {profile.key: profile.fields.values() for profile in file.profiles}
    rows = [
        {
            "device_id": devices[device.key],
            "property": mapping.property,
            "channel": mapping.channel,
            "unit": PROPERTIES[mapping.property].unit,
        }
        for device in file.devices
        if device.profile
        for mapping in fields[device.profile]
    ]
    if not rows:
        return []
    added = connection.execute(
        insert(tables.datastream)
        .values(rows)
        .on_conflict_do_nothing()
        .returning(tables.datastream.c.device_id, tables.datastream.c.property)
    ).all()
    keys = {number: key for key, number in devices.items()}
    made = [f"+ datastream {keys[device]} {name}" for device, name in added]
    return [Line(each, each) for each in made]


_ZONE_IS_KNOWN: Final = text("SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = :zone)")
_SOURCES: Final = text("""
    SELECT site.key, source.key, source.filters
    FROM source JOIN site ON site.id = source.site_id ORDER BY site.key, source.key
""")
