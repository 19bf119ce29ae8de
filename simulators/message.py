"""What simulators hand to the publisher: a message, and when it is due."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple, Self


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT message. `key` tells it apart from others on its topic: published twice, it is one
    message and one repeat."""

    topic: str
    payload: bytes
    key: str

    @classmethod
    def by_content(cls, topic: str, payload: bytes) -> Self:
        """A message that carries no id: its bytes are its key."""
        return cls(topic, payload, blake2b(payload, digest_size=16).hexdigest())

    @property
    def identity(self) -> bytes:
        """16 bytes that no other message has."""
        return blake2b(f"{self.topic}\0{self.key}".encode(), digest_size=16).digest()


class Timed(NamedTuple):
    """A message and the (virtual) time at which it leaves its sender."""

    due: datetime
    message: Message
