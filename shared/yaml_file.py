"""YAML that people wrote, read strictly: nothing in it is dropped in silence, nothing explodes."""

import math
from pathlib import Path
from typing import Any, Final

import yaml

from shared.errors import OperatorError

_DEEPEST: Final = 20
_MOST_VALUES: Final = 1_000_000  # aliases of aliases multiply
_LARGEST: Final = 2**63


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML's own reader keeps the last."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                told = f"{key.value!r} stands twice"
                raise yaml.constructor.ConstructorError(None, None, told, key.start_mark)
            seen.add(key.value)
        return node


def load(file: Path, fault: type[OperatorError]) -> object:
    """The content of a YAML file; raises `fault` with one line: file, place and reason."""
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), _Loader)
        _require_plain(content)
    except OSError as error:
        raise fault(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise fault(f"{file}: is not UTF-8 text") from None
    except RecursionError:
        raise fault(f"{file}: is nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{file}:{mark.line + 1}" if mark else str(file)
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise fault(f"{place}: {reason}") from None
    return content


def _require_plain(content: object) -> None:
    """Refuse what neither JSON nor a database can hold; an alias of itself is endlessly deep."""
    waiting: list[tuple[str, object, int]] = [("", content, 0)]
    for _ in range(_MOST_VALUES):
        if not waiting:
            return
        place, value, depth = waiting.pop()
        if depth > _DEEPEST:
            raise ValueError(f"{place[:80]}: is nested too deeply")
        if isinstance(value, dict):
            waiting += [(place, key, depth) for key in value]
            waiting += [(f"{place}.{key}".lstrip("."), v, depth + 1) for key, v in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{place}.{i}".lstrip("."), v, depth + 1) for i, v in enumerate(value)]
        elif why := _unfit(value):
            raise ValueError(f"{place}: {why}" if place else why)
    raise ValueError(f"holds more than {_MOST_VALUES} values")


def _unfit(value: object) -> str | None:
    """Why one value cannot be used, or None."""
    if isinstance(value, str):
        kept = "\0" not in value and not any("\ud800" <= sign <= "\udfff" for sign in value)
        return None if kept else "holds a character that cannot be stored"
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        return "is too large a number"
    return "is no plain value" if isinstance(value, bytes | set | tuple) else None
