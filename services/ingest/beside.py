"""Work beside the live path, in a thread that ends with whoever began it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared.db.engine import DatabaseUnreachable
from shared.settings import Database

log = structlog.get_logger()
END_S: Final = 10.0
Work = Callable[[Database, threading.Event], None]


@contextmanager
def running(name: str, work: Work, database: Database, again_s: float) -> Iterator[None]:
    """Do `work(database, stop)` again and again, `again_s` after it has ended or the database was
    away; what it does with connections of its own holds nobody up."""
    stop = threading.Event()
    thread = threading.Thread(
        target=_repeat, args=(name, work, database, again_s, stop), name=name, daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(END_S)


def _repeat(
    name: str, work: Work, database: Database, again_s: float, stop: threading.Event
) -> None:
    while not stop.is_set():
        try:
            work(database, stop)
        except (psycopg.Error, SQLAlchemyError, DatabaseUnreachable) as error:
            log.warning("waits_for_the_database", part=name, error=str(error).splitlines()[0])
        stop.wait(again_s)
