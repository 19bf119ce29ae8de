"""A line to a server that can be cut, held and mended, as a network can."""

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy.engine import make_url

from shared.settings import Database

BYTES = 65536


class Line:
    """Carries bytes both ways while it is open. cut: connections end and none is made; held:
    connections stand, new ones are made, and nothing is carried."""

    def __init__(self, listener: socket.socket, connected: Callable[[], socket.socket]) -> None:
        self._listener = listener
        self._connected = connected
        self._carries = threading.Event()
        self._carries.set()
        self._ended = self._is_cut = False
        self._lines: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._is_cut = True
        for each in [*self._lines]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        self._carries.clear()

    def mend(self) -> None:
        self._is_cut = False
        self._carries.set()

    def close(self) -> None:
        self._ended = True
        self.mend()
        self.cut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # or a waiting `accept` takes one more
        self._listener.close()

    def _accept(self) -> None:
        while not self._ended:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            if self._is_cut:
                here.close()
                continue
            threading.Thread(target=self._carry, args=(here,), daemon=True).start()

    def _carry(self, here: socket.socket) -> None:
        with here, suppress(OSError), self._connected() as there:
            both = {here, there}
            self._lines |= both
            try:
                if not self._is_cut:
                    self._between(here, there)
            finally:
                self._lines -= both

    def _between(self, here: socket.socket, there: socket.socket) -> None:
        while True:
            ready, _, _ = select.select([here, there], [], [], 0.5)
            self._carries.wait()
            for each in ready:
                data = each.recv(BYTES)
                if not data:
                    return
                (there if each is here else here).sendall(data)


class DatabaseLine(Line):
    """To a PostgreSQL server, from a socket in a folder; `database` is reached by it."""

    def __init__(self, target: Database, folder: Path) -> None:
        parts = conninfo_to_dict(target.url)
        host, port = str(parts.get("host") or "127.0.0.1"), int(str(parts.get("port") or 5432))
        url = make_url(target.url).set(host=None, port=None).set(query={"host": str(folder)})
        assert make_conninfo(url.render_as_string(hide_password=False))
        self.database = Database(url=url.render_as_string(hide_password=False))
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folder / f".s.PGSQL.{port}"))
        listener.listen(50)
        super().__init__(listener, lambda: _reached(host, port))


def to_port(port: int) -> tuple[Line, int]:
    """A line to a port of this machine, and the port to reach it by."""
    listener = socket.create_server(("127.0.0.1", 0))
    line = Line(listener, lambda: socket.create_connection(("127.0.0.1", port)))
    return line, int(listener.getsockname()[1])


@contextmanager
def drawn(target: Database, folder: Path) -> Iterator[DatabaseLine]:
    folder.mkdir()
    line = DatabaseLine(target, folder)
    yield line
    line.close()


def _reached(host: str, port: int) -> socket.socket:
    if not host.startswith("/"):
        return socket.create_connection((host, port))
    there = socket.socket(socket.AF_UNIX)
    try:
        there.connect(f"{host}/.s.PGSQL.{port}")
    except OSError:
        there.close()
        raise
    return there
