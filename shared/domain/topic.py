"""MQTT topic filters: matching, overlap and validity (MQTT 3.1.1 section 4.7)."""


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic name falls under a filter with `+` and `#`."""
    want, have = topic_filter.split("/"), topic.split("/")
    for i, level in enumerate(want):
        if level == "#":
            return True
        if i >= len(have) or level not in ("+", have[i]):
            return False
    return len(want) == len(have)


def possible(topic: str) -> bool:
    """Whether a topic can be one: no filter covers what MQTT, and a database's text, cannot hold.

    Neither NUL nor lone surrogates (section 1.5.3), which a reader of bytes may have left.
    """
    try:
        topic.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in topic


def overlaps(one: str, other: str) -> bool:
    """Whether some topic falls under both filters: a broker may then deliver it twice."""
    a, b = one.split("/"), other.split("/")
    for x, y in zip(a, b, strict=False):
        if "#" in (x, y):
            return True
        if x != y and "+" not in (x, y):
            return False
    longer = a if len(a) > len(b) else b
    shorter_length = min(len(a), len(b))
    return len(a) == len(b) or longer[shorter_length:] == ["#"]


def fault(topic_filter: str) -> str | None:
    """Why a filter is invalid, or None."""
    levels = topic_filter.split("/")
    if not topic_filter or "\0" in topic_filter:
        return "is empty or holds a NUL"
    if "#" in topic_filter and (levels.count("#") > 1 or levels[-1] != "#"):
        return "has # elsewhere than as its last level"
    if any(("+" in level or "#" in level) and len(level) > 1 for level in levels):
        return "mixes + or # with other characters in one level"
    if levels[0] in ("+", "#") or levels[0].startswith("$"):
        return "must begin with a plain level, so that sources stay apart"
    return None
