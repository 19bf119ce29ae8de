"""Secrets of 256 random bits, stored as SHA-256: nothing so long can be guessed, so it needs no
slow hash. A key may be shown up to its prefix."""

import re
from hashlib import sha256
from secrets import token_hex, token_urlsafe
from typing import Final, NamedTuple

_KEY: Final = re.compile(r"lab_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", re.ASCII)


class Key(NamedTuple):
    """A new API key: `text` is shown once, `prefix` may always be."""

    text: str
    prefix: str


def new_key() -> Key:
    """lab_{8 hex digits}_{43 characters}."""
    prefix = token_hex(4)
    return Key(f"lab_{prefix}_{token_urlsafe(32)}", prefix)


def new_token() -> str:
    """43 characters that may stand in an address or a cookie."""
    return token_urlsafe(32)


def digest(token: str) -> bytes:
    """What is stored of a token."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


def is_key(text: str) -> bool:
    """Whether it has the shape of a key: anything else needs no look into the database."""
    return _KEY.fullmatch(text) is not None
