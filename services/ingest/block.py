"""A batch with what the database is sent of it.

Each part is made once, when it is first asked for: by the thread that prepares, so that the one
that commits has little to do but to wait. One that cannot be made raises psycopg.DataError, as the
database does for what it cannot hold.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cached_property
from typing import Any, Final

import numpy as np
import psycopg

from services.ingest import binary
from services.ingest.frame_gaps import Frame
from services.ingest.pipeline import Prepared, reject_id
from services.ingest.uplink import Heard, Uplink


class Block(list[Prepared]):
    """Prepared messages, not changed any more."""

    def encoded(self) -> "Block":
        """Itself, with all that can be made ahead; what cannot be made fails at the commit."""
        with suppress(psycopg.DataError):
            for part in _AHEAD:
                getattr(self, part)
        return self

    @cached_property
    def hours(self) -> list[datetime]:
        """The UTC hour in which each message was received."""
        cut: dict[datetime, datetime] = {}
        return [cut.get(at) or cut.setdefault(at, utc_hour(at)) for at in self._received]

    @cached_property
    def times(self) -> list[int]:
        """When each uplink was observed, in microseconds since 2000; of other messages 0."""
        return [binary.micros(each.uplink.observed_at) if each.uplink else 0 for each in self]

    @cached_property
    def uplinks(self) -> list[tuple[bytes, int, bytes]]:
        """Id, place in the batch and COPY fields of each uplink, by id: writers that meet lock in
        one order."""
        cut = {at: binary.micros(at) for at in set(self._received)}
        with _writable():
            found = [
                _uplink_row(place, prepared, prepared.uplink, at, cut)
                for place, (prepared, at) in enumerate(zip(self, self.times, strict=True))
                if prepared.uplink
            ]
        found.sort()
        return found

    @cached_property
    def first(self) -> dict[tuple[bytes, datetime], int]:
        """Of uplinks with equal keys the place of the first."""
        first: dict[tuple[bytes, datetime], int] = {}
        for id_, place, _ in self.uplinks:
            uplink = self[place].uplink
            assert uplink
            first.setdefault((id_, uplink.observed_at), place)
        return first

    @cached_property
    def readings(self) -> binary.Readings:
        """All of them."""
        with _writable():
            return binary.Readings(self._columns)

    @cached_property
    def zones(self) -> tuple[list[str], Any]:
        """The zones of its sites, and for each message the number of its own."""
        zones = [prepared.device.zone if prepared.device else "" for prepared in self]
        names = sorted(set(zones))
        numbers = {name: number for number, name in enumerate(names)}
        return names, np.array([numbers[zone] for zone in zones], np.int64)

    @cached_property
    def refusals(self) -> list[bytes]:
        """The id that each message has, or once had, among the rejects."""
        return [reject_id(prepared.message) for prepared in self]

    @cached_property
    def frames(self) -> list[tuple[int, Frame] | None]:
        """Device and frame counter of each message that tells one."""
        return [_frame(*each) for each in zip(self, self.times, self.hours, strict=True)]

    @cached_property
    def gateways(self) -> dict[tuple[int, str], tuple[Heard, datetime]]:
        """By source and name, as heard last."""
        seen: dict[tuple[int, str], tuple[Heard, datetime]] = {}
        for prepared in self:
            for heard in prepared.uplink.gateways if prepared.uplink else ():
                seen[prepared.source.id, heard.gateway_id] = (heard, prepared.message.received_at)
        return seen

    @cached_property
    def _received(self) -> list[datetime]:
        return [prepared.message.received_at for prepared in self]

    @property
    def _columns(self) -> tuple[list[int], list[int], list[int], list[float], list[int]]:
        """Place in the batch, time, datastream, value and quality of every reading."""
        columns: tuple[list[int], list[int], list[int], list[float], list[int]]
        columns = orders, times, ids, values, qualities = ([], [], [], [], [])
        for order, (prepared, at) in enumerate(zip(self, self.times, strict=True)):
            last = prepared.uplink and prepared.uplink.observed_at
            for time, datastream_id, value, quality in prepared.readings:
                if time is not last:  # as only the records of a history do
                    last, at = time, binary.micros(time)
                orders.append(order)
                times.append(at)
                ids.append(datastream_id)
                values.append(value)
                qualities.append(quality)
        return columns


@contextmanager
def _writable() -> Iterator[None]:
    try:
        yield
    except (struct.error, ValueError, OverflowError) as error:
        raise psycopg.DataError(f"cannot be written: {error}") from error


def utc_hour(at: datetime) -> datetime:
    """As the ledger cuts it."""
    return at.replace(minute=0, second=0, microsecond=0)


def _frame(prepared: Prepared, at: int, hour: datetime) -> tuple[int, Frame] | None:
    uplink, device = prepared.uplink, prepared.device
    if uplink is None or device is None:
        return None
    if uplink.f_cnt is None and uplink.event != "join":
        return None
    order = -1 if uplink.f_cnt is None else uplink.f_cnt
    return device.id, Frame(at, order, prepared.id, prepared.source.id, hour)


def _uplink_row(
    place: int, prepared: Prepared, uplink: Uplink, at: int, received: dict[datetime, int]
) -> tuple[bytes, int, bytes]:
    """All fields but the `ord` of the stage."""
    message, device = prepared.message, prepared.device
    assert device
    id_ = prepared.id
    fields = (
        _FIXED(
            *(16, id_, 8, at, 8, received[message.received_at]),
            *(4, prepared.source.id, 4, device.id),
        ),
        binary.text(message.topic),
        binary.blob(message.payload),
        binary.counters(uplink.f_cnt, uplink.f_port),
        binary.document(uplink.radio),
        binary.texts(tuple([heard.gateway_id for heard in uplink.gateways])),
        binary.text(uplink.event),
        binary.flag(uplink.history),
    )
    return id_, place, b"".join(fields)


_AHEAD: Final = ("uplinks", "first", "readings", "zones", "refusals", "frames", "gateways")
_FIXED: Final = struct.Struct(">i16siqiqiiii").pack
