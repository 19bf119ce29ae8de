"""The site file: what a city writes down about one site, and everything that can be wrong in it."""

from collections.abc import Collection, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from shared import yaml_file
from shared.domain import topic
from shared.domain.place import Origin, Stage
from shared.domain.property import PROPERTIES
from shared.domain.quality import Span
from shared.domain.unit import UnitError, converter
from shared.errors import OperatorError

Key = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]


class SiteFileError(OperatorError):
    """The site file cannot be used; the message names the file and the place in it."""


def _as_datetime(value: object) -> object:
    """YAML reads 2026-01-01 as a date: take its midnight."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - zone follows
    return value


def _in_our_times(moment: datetime) -> datetime:
    """A slip in the year, before a database or a clock stumbles over it."""
    if not 1900 <= moment.year <= 2200:
        raise ValueError(f"{moment.isoformat()} lies outside the years 1900 to 2200")
    return moment


Moment = Annotated[datetime, BeforeValidator(_as_datetime), AfterValidator(_in_our_times)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Site(_Part):
    key: Key
    name: str = Field(min_length=1, max_length=200)
    zone: str
    lat: Latitude
    lon: Longitude
    stage: Stage

    @model_validator(mode="after")
    def _zone_is_known(self) -> Self:
        if self.zone not in available_timezones():
            raise ValueError(f"zone: {self.zone!r} is no IANA time zone such as Asia/Jakarta")
        return self


class Clock(_Part):
    """Which event times of a source are believed, and what is done without."""

    earliest: Moment | None = None  # none: 2010
    lead_s: int | None = Field(default=None, ge=0, le=7 * 86_400)  # none: 10 minutes
    use: Literal["device", "arrival"] = "device"  # arrival: unusable ones take that of receipt


class Source(_Part):
    key: Key
    adapter: str
    filters: list[str] = Field(min_length=1)
    clock: Clock | None = None

    @model_validator(mode="after")
    def _filters_are_valid(self) -> Self:
        for each in self.filters:
            if why := topic.fault(each):
                raise ValueError(f"filters: {each!r} {why}")
        return self


class Mapping(_Part):
    """One field of a message → one property. hard and soft are spans in the canonical unit."""

    property: str
    unit: str | None = None
    channel: str = Field(default="", max_length=60)
    hard: Span | None = None
    soft: Span | None = None

    @model_validator(mode="after")
    def _unit_fits(self) -> Self:
        known = PROPERTIES.get(self.property)
        if known is None:
            raise ValueError(f"property: unknown {self.property!r}; known: {', '.join(PROPERTIES)}")
        try:
            converter(self.unit or known.unit, known.unit)
        except UnitError as error:
            raise ValueError(f"unit: {error}") from None
        for name, span in (("hard", self.hard), ("soft", self.soft)):
            if span and span[0] > span[1]:
                raise ValueError(f"{name}: {span[0]} is above {span[1]}")
        return self


class Profile(_Part):
    key: Key
    interval_s: int | None = Field(default=None, ge=1, le=31_536_000)
    fields: dict[str, Mapping]

    @model_validator(mode="after")
    def _one_field_per_datastream(self) -> Self:
        seen: dict[tuple[str, str], str] = {}
        for field, mapping in self.fields.items():
            other = seen.setdefault((mapping.property, mapping.channel), field)
            if other != field:
                raise ValueError(
                    f"fields: {other!r} and {field!r} both give {mapping.property}: set a channel"
                )
        return self


class Pilot(_Part):
    key: Key
    service: str
    kind: str | None = None  # null: observed and shown, not analysed
    phase: Literal[1, 2, 3]
    origin: Origin
    params: dict[str, Any] = Field(default_factory=dict)


class Device(_Part):
    key: Key
    id: str | None = Field(
        default=None,
        max_length=200,
        pattern=r"^(eui:[0-9a-f]{16}|imei:[0-9]{15}|client:.+)$",
    )
    pilot: str | None = None
    profile: str | None = None
    source: str
    lat: Latitude | None = None
    lon: Longitude | None = None
    planned: Moment | None = None
    commissioned: Moment | None = None
    cancelled: Moment | None = None
    maintenance: list[tuple[Moment, Moment]] = Field(default_factory=list)
    origin: Origin
    shift_s: int = Field(default=0, ge=-(10**10), le=10**10)


class SiteFile(_Part):
    """One site with its sources, profiles, pilots and devices, checked as a whole."""

    site: Site
    sources: list[Source] = Field(min_length=1)
    profiles: list[Profile] = Field(default_factory=list)
    pilots: list[Pilot] = Field(default_factory=list)
    devices: list[Device] = Field(default_factory=list)

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        for problem in (*_repeats(self), *_dangling(self), *_overlaps(self)):
            raise ValueError(problem)
        return self

    def at_zone(self, moment: datetime) -> datetime:
        """A time of the file as an aware one: without an offset it is the site's local time."""
        return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(self.site.zone))


def read(path: Path) -> SiteFile:
    """Parse and check a YAML site file; raises SiteFileError with file, place and reason."""
    return parse(yaml_file.load(path, SiteFileError), where=str(path))


def parse(content: object, *, where: str = "site file") -> SiteFile:
    """Check an already loaded site file; raises SiteFileError with place and reason."""
    try:
        return SiteFile.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise SiteFileError(": ".join(part for part in (where, place, reason) if part)) from None


def require_known(
    file: SiteFile,
    *,
    adapters: Collection[str],
    kinds: Collection[str],
    services: Collection[str],
    where: str = "site file",
) -> None:
    """Refuse what only the services know: adapters, pilot kinds, menu-board services."""
    wanted = [
        *((f"sources.{i}.adapter", s.adapter, adapters) for i, s in enumerate(file.sources)),
        *((f"pilots.{i}.kind", p.kind, kinds) for i, p in enumerate(file.pilots) if p.kind),
        *((f"pilots.{i}.service", p.service, services) for i, p in enumerate(file.pilots)),
    ]
    for place, value, known in wanted:
        if value not in known:
            shown = ", ".join(sorted(known)) if len(known) < 12 else "see /v1/catalogue"
            raise SiteFileError(f"{where}: {place}: unknown {value!r} ({shown})")


def _repeats(file: SiteFile) -> Iterator[str]:
    for name in ("sources", "profiles", "pilots", "devices"):
        keys = [part.key for part in getattr(file, name)]
        yield from (f"{name}: key {k!r} stands twice" for k in keys if keys.count(k) > 1)
    ids = [device.id for device in file.devices if device.id]
    yield from (f"devices: id {i!r} stands twice" for i in ids if ids.count(i) > 1)


def _dangling(file: SiteFile) -> Iterator[str]:
    pilots = {pilot.key: pilot for pilot in file.pilots}
    sources = {source.key for source in file.sources}
    profiles = {profile.key for profile in file.profiles}
    for i, device in enumerate(file.devices):
        place = f"devices.{i} ({device.key})"
        if device.source not in sources:
            yield f"{place}: unknown source {device.source!r}"
        if device.profile is not None and device.profile not in profiles:
            yield f"{place}: unknown profile {device.profile!r}"
        if device.pilot is not None and device.pilot not in pilots:
            yield f"{place}: unknown pilot {device.pilot!r}"
        elif device.pilot is not None and pilots[device.pilot].origin != device.origin:
            yield (
                f"{place}: origin {device.origin} cannot join pilot {device.pilot!r}"
                f" of origin {pilots[device.pilot].origin}"
            )
        if (device.lat is None) != (device.lon is None):
            yield f"{place}: lat and lon go together"
        for start, end in device.maintenance:
            if file.at_zone(start) >= file.at_zone(end):
                yield f"{place}: maintenance ends before it starts"


def _overlaps(file: SiteFile) -> Iterator[str]:
    listed = [(s.key, f) for s in file.sources for f in s.filters]
    for i, (key, one) in enumerate(listed):
        for other_key, other in listed[i + 1 :]:
            if topic.overlaps(one, other):
                yield f"sources: filters {one!r} ({key}) and {other!r} ({other_key}) overlap"
