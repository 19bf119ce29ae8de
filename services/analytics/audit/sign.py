"""Signing places of the chain, so that only who has LAB_AUDIT_KEY can make another chain pass."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

Kind = Literal["head", "start"]


@dataclass(frozen=True, slots=True)
class Place:
    """The chain passes through `hash` at `seq`; a start: what came before went by retention."""

    kind: Kind
    seq: int
    hash: bytes
    at: datetime
    signature: bytes | None = None

    @property
    def said(self) -> bytes:
        """What is signed."""
        at = self.at.astimezone(UTC).isoformat(timespec="microseconds")
        return f"livinglab audit\n{self.kind}\n{self.seq}\n{self.hash.hex()}\n{at}\n".encode()


def signed(place: Place, keys: Sequence[bytes]) -> Place:
    """Signed with the first key (HMAC-SHA256), without any unsigned."""
    signature = hmac.digest(keys[0], place.said, "sha256") if keys else None
    return replace(place, signature=signature)


def vouched(place: Place, keys: Sequence[bytes]) -> bool:
    """Whether one of our keys signed it."""
    made = place.signature or b""
    return any(hmac.compare_digest(hmac.digest(key, place.said, "sha256"), made) for key in keys)
