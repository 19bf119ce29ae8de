"""A line to the database that can be cut, held and mended, as a network can."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy.engine import make_url

from shared.settings import Database

BYTES = 65536


class Line:
    """Carries bytes both ways while it is open. cut: connections end and none is made; held:
    connections stand, new ones are made, and nothing is carried."""

    def __init__(self, target: Database, folder: Path) -> None:
        parts = conninfo_to_dict(target.url)
        self._host = str(parts.get("host") or "127.0.0.1")
        self._port = int(str(parts.get("port") or 5432))
        url = make_url(target.url).set(host=None, port=None).set(query={"host": str(folder)})
        assert make_conninfo(url.render_as_string(hide_password=False))
        self.database = Database(url=url.render_as_string(hide_password=False))
        self._carries = threading.Event()
        self._carries.set()
        self._ended = self._is_cut = False
        self._lines: list[socket.socket] = []
        self._path = folder / f".s.PGSQL.{self._port}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(50)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._is_cut = True
        for each in self._lines:
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
        there = self._connected()
        self._lines += [here, there]
        with here, there, suppress(OSError):
            while True:
                ready, _, _ = select.select([here, there], [], [], 0.5)
                self._carries.wait()
                for each in ready:
                    data = each.recv(BYTES)
                    if not data:
                        return
                    (there if each is here else here).sendall(data)

    def _connected(self) -> socket.socket:
        if self._host.startswith("/"):
            there = socket.socket(socket.AF_UNIX)
            there.connect(f"{self._host}/.s.PGSQL.{self._port}")
            return there
        return socket.create_connection((self._host, self._port))


@contextmanager
def drawn(target: Database, folder: Path) -> Iterator[Line]:
    folder.mkdir()
    line = Line(target, folder)
    yield line
    line.close()
