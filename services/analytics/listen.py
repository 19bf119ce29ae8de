"""Hearing of commits: LISTEN on a connection of its own, made again whenever it is lost."""

import threading
from collections.abc import Callable
from typing import Final

import psycopg
import structlog

from services.analytics import findings
from shared.db import change
from shared.db.change import CHANNEL, REGISTRY_CHANNEL
from shared.db.engine import DatabaseUnreachable, connect
from shared.db.session import ANALYTICS
from shared.settings import Database

LOOK_UP_S: Final = 0.5  # how soon a stop is noticed
QUIET_S: Final = 0.2  # commits that follow each other closely wake once
LONGEST_PAUSE_S: Final = 10.0

log = structlog.get_logger()


def follow(database: Database, wake: Callable[[], None], stop: threading.Event) -> None:
    """Call `wake` soon after each commit of a change, finding or site file, until `stop`."""
    pause = LOOK_UP_S
    while not stop.is_set():
        try:
            with connect(database, ANALYTICS, autocommit=True) as connection:
                for channel in (CHANNEL, REGISTRY_CHANNEL, findings.CHANNEL):
                    connection.execute(f"LISTEN {channel}")
                pause = LOOK_UP_S
                wake()  # for what was committed while nobody listened
                _hear(connection, wake, stop)
        except (psycopg.OperationalError, DatabaseUnreachable) as error:
            log.warning("not hearing of commits", error=str(error).strip(), pause_s=pause)
            stop.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)


def _hear(connection: psycopg.Connection, wake: Callable[[], None], stop: threading.Event) -> None:
    owed = 0  # followers cannot see a commit while an older transaction runs: woken again after
    while not stop.is_set():
        heard = [*connection.notifies(timeout=LOOK_UP_S, stop_after=1)]
        if heard:
            owed = change.horizon(connection).next
            wake()
            stop.wait(QUIET_S)
        elif owed and change.horizon(connection).oldest >= owed:
            owed = 0
            wake()
