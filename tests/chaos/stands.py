"""What a run can happen on, as a table: the broker, and whether ingest has a spool."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from shared.db import migrate
from shared.db.engine import sync_engine
from shared.settings import Database
from tests.chaos import brokers, faults
from tests.chaos.brokers import Broker
from tests.chaos.stack import Stack
from tests.integration.mosquitto import MOSQUITTO


@dataclass(frozen=True, slots=True)
class Stand:
    """A kind of stack, and what can happen to it."""

    name: str
    broker: Callable[[Path], Broker]
    spools: bool
    faults: Mapping[str, faults.Meanwhile]
    possible: bool = True


STANDS = (
    Stand("nats", brokers.Nats, spools=False, faults={**faults.ANYWHERE, **faults.OF_NATS}),
    Stand("nats, spool", brokers.Nats, spools=True, faults=faults.EACH),
    Stand(
        "mosquitto, spool",
        brokers.Mosquitto,
        spools=True,
        faults={**faults.ANYWHERE, **faults.OF_SPOOL},
        possible=MOSQUITTO is not None,
    ),
)


@dataclass(frozen=True, slots=True)
class Ready:
    """A stack that ingests, and a way to look into its database."""

    stand: Stand
    stack: Stack
    engine: Engine


class Stands:
    """Each is set up when the first run needs it, and stands for the others."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._ready: dict[str, Ready] = {}

    def of(self, seed: int) -> Ready:
        """Seeds take turns; where there is no Mosquitto, its turn is NATS's."""
        stand = STANDS[seed % len(STANDS)]
        stand = stand if stand.possible else STANDS[0]
        if stand.name not in self._ready:
            self._ready[stand.name] = self._open.enter_context(_standing(stand))
        return self._ready[stand.name]

    def close(self) -> None:
        self._open.close()


@contextmanager
def _standing(stand: Stand) -> Iterator[Ready]:
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        Path(name).chmod(0o755)
        stack = Stack(Path(name), stand.broker, stand.spools)
        with closing(stack):
            stack.start()
            engine = sync_engine(Database(url=stack.url))
            migrate.upgrade(engine)
            stack.begin("ingest")
            stack.wait_ingesting()
            yield Ready(stand, stack, engine)
            engine.dispose()
