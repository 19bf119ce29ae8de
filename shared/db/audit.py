"""stand-in"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    actor: str
    action: str
    object: str
    site_id: int | None = None
    address: str | None = None
    why: str | None = None
    outcome: str = "done"
    changed: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)


async def record(connection: Any, entry: Entry) -> None: ...
def record_sync(connection: Any, entry: Entry) -> None: ...


async def entries(connection: Any, **more: Any) -> list[Any]:
    return []
