"""Areas: several devices taken together, whose figures stand in a channel of the first of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from services.api.resources.latest import Latest
from shared.domain.property import PROPERTIES


@dataclass(frozen=True)
class Area:
    """The derived figures of one area, or under `all` of a whole pilot."""

    channel: str
    rows: Sequence[Latest]

    @property
    def age_s(self) -> float | None:
        """Seconds since its newest figure; None: it has none."""
        return min((row.age_s for row in self.rows if row.age_s is not None), default=None)


def areas(latest: Sequence[Latest]) -> list[Area]:
    """The areas among rows that hold all that their devices measure. A derived series is of an
    area when its channel is neither one its device measures nor named for a property."""
    measured = {(row.device_id, row.channel) for row in latest if row.derived_by is None}
    rows = [
        row
        for row in latest
        if row.derived_by
        and row.channel
        and (row.device_id, row.channel) not in measured
        and row.channel.rpartition(".")[2] not in PROPERTIES
    ]
    return [
        Area(channel, list(own)) for (*_, channel), own in groupby(sorted(rows, key=_place), _of)
    ]


def of_areas(latest: Sequence[Latest]) -> set[int]:
    """Ids of the datastreams that are of an area, not of their device."""
    return {row.datastream_id for area in areas(latest) for row in area.rows}


def _of(row: Latest) -> tuple[int | None, str, str]:
    return row.pilot_id, row.derived_by or "", row.channel


def _place(row: Latest) -> tuple[int, str, bool, str, str]:
    return (
        row.pilot_id or 0,
        row.derived_by or "",
        row.channel != "all",
        row.channel,
        row.property,
    )
