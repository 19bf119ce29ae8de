"""MQTT topic filters as NATS subjects: what a publisher may use is written in NATS's own words.

Source: NATS 2.15, server/mqtt.go, mqttToNATSSubjectConversion.
"""

import re
from typing import Final

_UNSUPPORTED: Final = re.compile(r"[\s\x7f]")  # NATS refuses such topics
_WILDCARD: Final = {"+": "*", "#": ">"}


class NotForNats(ValueError):
    """The filter cannot be written as a NATS subject; the message says why."""


def subjects(topic_filter: str) -> tuple[str, ...]:
    """The subjects a filter covers: two where it ends in `/#`, which covers its parent too.

    Raises NotForNats for white space, and for levels that NATS would read as wildcards.
    """
    if _UNSUPPORTED.search(topic_filter):
        raise NotForNats(f"{topic_filter!r} holds white space, which NATS refuses in topics")
    levels = topic_filter.split("/")
    if {"*", ">"} & {*levels}:
        raise NotForNats(f"{topic_filter!r} has a level * or >, which are wildcards for NATS")
    whole = ".".join(_token(level) for level in levels)
    if len(levels) > 1 and levels[-1] == "#":
        return whole, whole.removesuffix(".>")
    return (whole,)


def _token(level: str) -> str:
    """An empty level is `/`, a dot within a level `//`."""
    return _WILDCARD.get(level) or level.replace(".", "//") or "/"


def topic_of(subject: str) -> str:
    """The topic or filter a subject stands for, as people know it."""
    return "/".join(_LEVEL.get(token, token.replace("//", ".")) for token in subject.split("."))


_LEVEL: Final = {"*": "+", ">": "#", "/": ""}
