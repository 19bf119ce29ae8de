"""Rows of a CSV, CSV.gz or Parquet file, one at a time, with the numbers an editor shows."""

import csv
import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from shared.errors import OperatorError

Cell = str | float | int | bool | datetime | None
Row = Mapping[str, Cell]


class TableError(OperatorError):
    """The file cannot be read as a table; the message names it and the reason."""


def rows(file: Path, columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
    """Row number and the named columns of each row.

    CSV cells are text and count lines, the header being line 1; Parquet cells have the file's
    types (32-bit floats become the 64-bit float of equal value) and count from 1.
    Raises TableError for a missing column, a ragged row or a file of another kind.
    """
    try:
        yield from (_parquet if file.suffix == ".parquet" else _csv)(file, columns)
    except OSError as error:
        raise TableError(f"{file}: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error, EOFError, zlib.error) as error:
        raise TableError(f"{file}: is not UTF-8 CSV, CSV.gz or Parquet ({error})") from None


def _csv(file: Path, columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt", encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, strict=True)
        head = next(reader, [])
        _require(file, columns, head)
        places = [(name, head.index(name)) for name in columns]
        for cells in reader:
            if len(cells) != len(head):
                raise TableError(
                    f"{file}: row {reader.line_num}: {len(cells)} cells, the header has {len(head)}"
                )
            yield reader.line_num, {name: cells[place] for name, place in places}


def _parquet(file: Path, columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise TableError(
            f"{file}: reading Parquet needs pyarrow: pip install 'livinglab[parquet]'"
        ) from None
    try:
        with parquet.ParquetFile(file) as table:
            _require(file, columns, table.schema_arrow.names)
            number = 0
            for batch in table.iter_batches(batch_size=10_000, columns=list(columns)):
                for cells in zip(*(_cells(batch.column(name)) for name in columns), strict=True):
                    number += 1
                    yield number, dict(zip(columns, cells, strict=True))
    except pyarrow.ArrowException as error:
        raise TableError(f"{file}: is no Parquet file ({str(error).splitlines()[0]})") from None


def _cells(column: Any) -> list[Any]:
    """Python values; nanosecond times, which Python has not, cut to microseconds."""
    import pyarrow

    if pyarrow.types.is_timestamp(column.type):
        column = column.cast(pyarrow.timestamp("us", tz=column.type.tz), safe=False)
    cells: list[Any] = column.to_pylist()
    return cells


def _require(file: Path, columns: Sequence[str], head: Sequence[str]) -> None:
    for name in columns:
        if name not in head:
            shown = ", ".join(head[:20]) or "none"
            raise TableError(f"{file}: has no column {name!r}; its columns: {shown}")
