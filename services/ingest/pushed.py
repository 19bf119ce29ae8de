"""What came over HTTP, and the topic it would have come on over MQTT: the same from there on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from services.ingest.uplink import Refused
from shared.domain import topic as topics


@dataclass(frozen=True, slots=True)
class Pushed:
    """One request to a source: the source's site and filters, and what was sent."""

    site: str
    filters: tuple[str, ...]
    query: Mapping[str, str]
    payload: bytes

    def body(self) -> Any:
        """The JSON of it; raises Refused bad_json."""
        try:
            return orjson.loads(self.payload)
        except orjson.JSONDecodeError as error:
            raise Refused("bad_json", f"{error}: set the sender to JSON") from None

    def text(self, *path: str) -> str:
        """A text in the JSON by its path; raises Refused."""
        found = self.body()
        for step in path:
            found = found.get(step) if isinstance(found, dict) else None
        if not isinstance(found, str) or not found:
            raise Refused("bad_message", f"{'.'.join(path)}: a text is needed")
        return found


def named(pushed: Pushed) -> str:
    """The topic a sender names in its address, or that of a source heard on one topic only: for
    senders whose topics are free. Raises Refused."""
    if told := pushed.query.get("topic"):
        return told
    if len(pushed.filters) == 1 and not {"+", "#"} & {*pushed.filters[0].split("/")}:
        return pushed.filters[0]
    raise Refused("bad_topic", "add ?topic=… to the address, one that the source's filters cover")


def require_own(topic: str, pushed: Pushed) -> str:
    """The topic, if it is one that the source may use over MQTT; raises Refused."""
    if {"+", "#", "\0"} & {*topic} or not any(topics.matches(f, topic) for f in pushed.filters):
        own = ", ".join(pushed.filters)
        raise Refused("bad_topic", f"{topic[:200]!r} is not among the source's filters: {own}")
    return topic
