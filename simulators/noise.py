"""Chance as a pure function of what it is about: no state, so any time can be computed alone."""

from hashlib import blake2b


def digest(*about: object, size: int = 8) -> bytes:
    """`size` bytes that depend on nothing but `about`."""
    return blake2b(repr(about).encode(), digest_size=size).digest()


def uniform(*about: object) -> float:
    """A number in [0, 1) that depends on nothing but `about`."""
    return int.from_bytes(digest(*about)) / 2**64


def between(low: float, high: float, *about: object) -> float:
    """A number in [low, high) that depends on nothing but `about`."""
    return low + (high - low) * uniform(*about)
