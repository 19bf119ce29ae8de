"""Rows in PostgreSQL's binary COPY format, at a fifth of what a COPY row by row costs; and arrays
as parameters, from whole columns.

Format: PostgreSQL documentation, COPY, "Binary Format". A field is its length and its bytes; NULL
is length -1. Times are microseconds since 2000.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import numpy as np
import orjson
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

HEAD: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TAIL: Final = b"\xff\xff"
NULL: Final = b"\xff\xff\xff\xff"
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_TEXT_OID: Final = 25
_length: Final = struct.Struct(">i").pack
_counters: Final = struct.Struct(">iqih").pack
# One reading: how many fields, then each field's length and value.
_READING: Final = np.dtype(
    [
        *(("fields", ">i2"), ("ord_length", ">i4"), ("ord", ">i4")),
        *(("time_length", ">i4"), ("time", ">i8")),
        *(("id_length", ">i4"), ("id", ">i4")),
        *(("value_length", ">i4"), ("value", ">f8")),
        *(("quality_length", ">i4"), ("quality", ">i2")),
    ]
)


def micros(time: datetime) -> int:
    """Microseconds since 2000."""
    return (time - _EPOCH) // _MICROSECOND


def moment(micros: int) -> datetime:
    """The time so many microseconds after 2000 began."""
    return _EPOCH + timedelta(microseconds=micros)


def text(value: str) -> bytes:
    """A text field."""
    coded = value.encode()
    return _length(len(coded)) + coded


def blob(value: bytes) -> bytes:
    """A bytea field."""
    return _length(len(value)) + value


def document(value: Mapping[str, Any] | None) -> bytes:
    """A jsonb field; NULL for nothing."""
    if not value:
        return NULL
    try:
        coded = orjson.dumps(value)
    except TypeError:  # a whole number of more than 64 bits
        coded = json.dumps(value).encode()
    return _length(len(coded) + 1) + b"\x01" + coded


@lru_cache(maxsize=10_000)
def texts(values: tuple[str, ...]) -> bytes:
    """A text[] field; NULL for nothing."""
    if not values:
        return NULL
    array = struct.pack(">iiiii", 1, 0, _TEXT_OID, len(values), 1) + b"".join(map(text, values))
    return _length(len(array)) + array


def counters(frame: int | None, port: int | None) -> bytes:
    """A bigint and a smallint field."""
    if frame is not None and port is not None:
        return _counters(8, frame, 2, port)
    return _number(">iq", 8, frame) + _number(">ih", 2, port)


def flag(value: bool) -> bytes:
    """A boolean field."""
    return b"\x00\x00\x00\x01\x01" if value else b"\x00\x00\x00\x01\x00"


class Ints(bytes):
    """A parameter of type int[], as PostgreSQL reads it."""


class Longs(bytes):
    """A parameter of type bigint[]."""


class Moments(bytes):
    """A parameter of type timestamptz[]."""


class Ids(bytes):
    """A parameter of type uuid[]."""


def ints(values: Sequence[int]) -> Ints:
    """Of whole numbers of 32 bits."""
    return Ints(_array(23, 4, np.asarray(values, ">i4")))


def longs(values: Sequence[int]) -> Longs:
    """Of whole numbers of 64 bits."""
    return Longs(_array(20, 8, np.asarray(values, ">i8")))


def moments(values: Sequence[int]) -> Moments:
    """Of microseconds since 2000."""
    return Moments(_array(1184, 8, np.asarray(values, ">i8")))


def ids(values: Sequence[bytes]) -> Ids:
    """Of ids of 16 bytes."""
    return Ids(_array(2950, 16, np.frombuffer(b"".join(values), "V16")))


def _array(element: int, size: int, values: Any) -> bytes:
    """Dimensions, whether there are NULLs, the elements' type; length and first index of the one
    dimension; then each element as a field."""
    if not len(values):
        return struct.pack(">iii", 0, 0, element)
    fields = np.empty(len(values), [("length", ">i4"), ("value", values.dtype)])
    fields["length"], fields["value"] = size, values
    return struct.pack(">iiiii", 1, 0, element, len(values), 1) + fields.tobytes()


def _ready(type_: int) -> type[Dumper]:
    class Ready(Dumper):
        format = Format.BINARY
        oid = type_

        def dump(self, obj: bytes) -> bytes:
            return obj

    return Ready


for _kind, _type in ((Ints, 1007), (Longs, 1016), (Moments, 1185), (Ids, 2951)):
    psycopg.adapters.register_dumper(_kind, _ready(_type))


def rows(parts: Sequence[bytes]) -> bytes:
    """A whole COPY of the parts of its rows; each row begins with how many fields it has."""
    return b"".join((HEAD, *parts, TAIL))


class Readings:
    """Columns of a batch's readings; `ord` is the place of each one's message in the batch."""

    def __init__(self, columns: Sequence[Sequence[Any]]) -> None:
        order, times, ids, values, qualities = columns
        table = np.empty(len(order), _READING)
        table["fields"] = 5
        for name, size in (("ord", 4), ("time", 8), ("id", 4), ("value", 8), ("quality", 2)):
            table[f"{name}_length"] = size
        table["ord"], table["time"], table["id"] = order, times, ids
        table["value"], table["quality"] = values, qualities
        # By key: writers that meet lock in one order, and the index grows where it just grew.
        self._table = table[np.lexsort((table["ord"], table["time"], table["id"]))]

    def __len__(self) -> int:
        return len(self._table)

    def column(self, name: str) -> Any:
        """`ord`, `time` in microseconds since 2000, or `id`: of datastream after datastream, by
        time."""
        return self._table[name].astype(np.int64)

    @property
    def distinct(self) -> bool:
        """Whether no two are of one datastream and time."""
        ids, times = self._table["id"], self._table["time"]
        return not bool(np.any((ids[1:] == ids[:-1]) & (times[1:] == times[:-1])))

    def staged(self) -> bytes:
        """A COPY with `ord`."""
        return b"".join((HEAD, self._table.tobytes(), TAIL))

    def plain(self) -> bytes:
        """A COPY without it."""
        names = [name for name in _READING.names or () if not name.startswith("ord")]
        plain = np.empty(len(self._table), [(name, _READING[name]) for name in names])
        for name in names:
            plain[name] = self._table[name]
        plain["fields"] = 4
        return b"".join((HEAD, plain.tobytes(), TAIL))


def _number(layout: str, size: int, value: int | None) -> bytes:
    return NULL if value is None else struct.pack(layout, size, value)
