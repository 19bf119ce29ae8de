"""Passwords of people: argon2id by its library's defaults (RFC 9106, low memory)."""

from functools import cache
from secrets import token_urlsafe
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from shared.errors import OperatorError

SHORTEST, LONGEST = 12, 256
_HASHER: Final = PasswordHasher()


@cache
def _nobodys() -> str:
    """What is checked where there is nothing to check, so that both take the same time."""
    return _HASHER.hash(token_urlsafe(16))


class PasswordRefused(OperatorError):
    """Too short, too long, or too close to the name; the message says which."""


def require_good(password: str, name: str) -> None:
    """Raise PasswordRefused for a password that is none; length is what counts (NIST 800-63B)."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise PasswordRefused(f"a password has {SHORTEST} to {LONGEST} characters")
    if name in password.lower() or len(set(password)) < 5:
        raise PasswordRefused("a password must not hold the name, nor repeat few characters")


def hashed(password: str) -> str:
    """A new argon2id hash with its own salt, in the usual notation."""
    return _HASHER.hash(password)


def matches(stored: str | None, password: str) -> bool:
    """Whether the password is the one; takes as long where nothing is stored."""
    try:
        return _HASHER.verify(stored or _nobodys(), password[:LONGEST]) and stored is not None
    except (VerificationError, InvalidHashError):
        return False
