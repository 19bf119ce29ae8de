"""Topics as nobody should choose them."""

import random
from typing import Final

LEVELS: Final = (
    *("", " ", "+", "#", "a+b", "$SYS", "$share", "*", ">", ".", "..", "a.b", "\0", "\ud800", "é"),
    *(
        "\u202e",
        "\ufeff",
        "\ufffe",
        "\x01",
        "\x7f",
        "%2F",
        "'; --",
        "{site}",
        "x" * 300,
        "\U0001f4a7",
    ),
    *("up", "UP", "feedback", "Feedback", "status", "join", "rx", "event", "device", "gateway"),
)
LONGEST: Final = 65_535  # bytes of a topic in MQTT


def odd_topic(draw: random.Random, topic: str) -> str:
    """The same for the first two levels in most cases, so that its source still reads it."""
    levels = topic.split("/")
    kept = min(draw.choice((0, 1, 2, 2, 2, 2)), len(levels))
    rest = levels[kept:]
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(rest) + 1)
        rest[at : at + draw.randint(0, 1)] = [draw.choice(LEVELS)]
    if draw.random() < 0.02:
        rest.append("y" * (LONGEST - 300))
    if draw.random() < 0.01:
        rest += ["z"] * 10_000
    return "/".join(levels[:kept] + rest)
