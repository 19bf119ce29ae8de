"""A database that neither answers nor hangs up, paused or behind a cut line, is given up."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
import structlog

log = structlog.get_logger()


@contextmanager
def within(connection: psycopg.Connection, seconds: float) -> Iterator[None]:
    """End the connection if what is done with it takes longer: it then raises OperationalError.

    The server's own timeouts do not help where the server does not run, nor the kernel's for a
    socket on the same machine.
    """
    watch = threading.Lock()
    ended = threading.Event()

    def cut() -> None:
        with watch:
            if not ended.is_set():
                log.error("database_does_not_answer", after_s=seconds)
                _shut(connection)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with watch:
            ended.set()
        timer.cancel()


def _shut(connection: psycopg.Connection) -> None:
    """Whoever waits on the socket sees its end, whatever the socket is."""
    with (
        suppress(psycopg.Error, OSError),  # closed already, by either side
        socket.socket(fileno=os.dup(connection.fileno())) as line,
    ):
        line.shutdown(socket.SHUT_RDWR)
