"""Where messages come from: what the loop asks of whatever receives them."""

import queue
from collections.abc import Iterable
from typing import Protocol

from services.ingest.uplink import Message


class Inlet(Protocol):
    """Messages arrive in `inbox`; `ack` tells that they are durable, and is never told early.

    keeps: whether the other side holds what is not acknowledged through a crash of its own. What
    does not is spooled when the database cannot take it.
    """

    inbox: "queue.SimpleQueue[Message]"
    keeps: bool

    def start(self) -> None:
        """Begin to receive; raises OperatorError when that is impossible."""

    def subscribe(self, filters: Iterable[str]) -> None:
        """Receive exactly what these topic filters cover."""

    def require_subscribed(self) -> None:
        """Wait until that is granted; raises OperatorError."""

    def ack(self, messages: Iterable[Message]) -> None:
        """These are durable. Harmless for what came over a connection that is no more."""

    def stop(self) -> None:
        """Receive no more; the other side keeps what was not acknowledged."""

    @property
    def alive(self) -> bool:
        """Whether it can still receive; else ingest has to end."""

    @property
    def subscribed(self) -> bool:
        """Whether everything wanted is being received right now."""
