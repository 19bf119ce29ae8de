"""The object a codec made of a frame → records: dotted fields, and history with its own times."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final

from services.ingest.body import from_epoch
from services.ingest.uplink import Record, Refused

ROOT: Final = "object"
_DEEPEST: Final = 8
_LONGEST: Final = 1000  # of a path: a name is written once, and kept for every value below it
_MOST_FIELDS: Final = 500
_MOST_HISTORY: Final = 500


def records(decoded: Mapping[str, Any], time: datetime) -> list[Record]:
    """The values of `time` first, then one record for each entry of `history`.

    Milesight's codecs tell values they had stored as `history`, a list of objects with an epoch
    `timestamp`; their fields are those of the object itself. Any other `history` is a value.
    """
    past = _history(decoded.get("history"))
    if not past:
        return [Record(time, fields(ROOT, decoded))]
    if len(past) > _MOST_HISTORY:
        raise Refused("bad_message", f"object: more than {_MOST_HISTORY} history entries")
    now = {name: value for name, value in decoded.items() if name != "history"}
    return [Record(time, fields(ROOT, now)), *(_past(entry) for entry in past)]


def fields(root: str, decoded: object) -> dict[str, object]:
    """Dotted path below `root` and value of every leaf; raises Refused when there are too many."""
    found = dict(islice(_leaves(root, decoded, 0), _MOST_FIELDS + 1))
    if len(found) > _MOST_FIELDS:
        raise Refused("bad_message", f"{root}: more than {_MOST_FIELDS} values")
    return found


def _history(past: object) -> list[Mapping[str, Any]]:
    """Entries with a time of their own; empty when it is anything else."""
    if not isinstance(past, list):
        return []
    timed = [e for e in past if isinstance(e, Mapping) and _is_number(e.get("timestamp"))]
    return timed if len(timed) == len(past) else []


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _past(entry: Mapping[str, Any]) -> Record:
    values = {name: value for name, value in entry.items() if name != "timestamp"}
    try:
        time = from_epoch(entry["timestamp"])
    except ValueError as error:
        raise Refused("bad_message", f"object.history: timestamp {error}") from None
    return Record(time, fields(ROOT, values))


def _leaves(path: str, value: object, depth: int) -> Iterator[tuple[str, object]]:
    """Dotted path and value of every leaf; lists are counted from 0."""
    if depth > _DEEPEST:
        raise Refused("bad_message", f"{path[:200]}: nested deeper than {_DEEPEST}")
    if len(path) > _LONGEST:
        raise Refused("bad_message", f"{path[:200]}: a name longer than {_LONGEST}")
    if isinstance(value, Mapping):
        steps: Iterator[tuple[object, object]] = iter(value.items())
    elif isinstance(value, list):
        steps = iter(enumerate(value))
    else:
        yield path, value
        return
    for step, inner in steps:
        yield from _leaves(f"{path}.{step}", inner, depth + 1)
