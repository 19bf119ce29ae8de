"""A first scrubber: takes e-mail addresses, phone and identity numbers out of free text.

Patterns only: names and addresses pass. NIK is the 16-digit Indonesian identity number.
"""

import re
from typing import Final

# Longest first: sixteen digits are a NIK before they are anybody's phone.
PATTERNS: Final = (
    ("email", re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,6}")),
    ("nik", re.compile(r"(?<!\d)\d(?:[ .-]?\d){15}(?!\d)")),
    ("phone", re.compile(r"(?<![\w.])(?:\+|00)?\(?\d(?:[ ().-]{0,2}\d){8,13}(?!\d)")),
)


def scrub(text: str) -> tuple[str, dict[str, int]]:
    """The text with each find replaced by its kind in brackets, and how many of each there were."""
    found: dict[str, int] = {}
    for kind, pattern in PATTERNS:
        text, count = pattern.subn(f"[{kind}]", text)
        if count:
            found[kind] = count
    return text, found
