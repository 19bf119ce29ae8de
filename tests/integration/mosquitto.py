"""A Mosquitto of its own for a test, which can be stopped in good order and started again."""

import os
import shutil
from pathlib import Path

import pytest

from shared.embedded.child import spawn, wait_until
from shared.embedded.nats import Broker, free_port, listens

PLACES = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"  # Debian puts servers off the path
MOSQUITTO = shutil.which("mosquitto", path=PLACES)
needed = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")


class Mosquitto:
    """Persistent: what it holds it has again after a graceful restart."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        (folder / "data").mkdir()
        (folder / "data").chmod(0o777)  # as root it becomes its own user
        (folder / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\n"
            "max_queued_messages 100000\nmax_inflight_messages 2000\n"
            f"persistence true\npersistence_location {folder}/data/\nuser {_user()}\n"
            "log_type error\nlog_type warning\nlog_type notice\nlog_type subscribe\n"
        )
        self.start()

    @property
    def broker(self) -> Broker:
        return Broker(f"mqtt://127.0.0.1:{self.port}", "", self.child)

    def restart(self) -> None:
        self.child.stop()
        self.start()

    def kill(self) -> None:
        """What it held and had not saved is gone."""
        self.child.process.kill()
        self.child.process.wait()

    def start(self) -> None:
        arguments = [str(MOSQUITTO), "-c", str(self._folder / "mosquitto.conf")]
        self.child = spawn("mosquitto", arguments, log=self._folder / "mosquitto.log")
        wait_until(lambda: listens(self.port), self.child, patience_s=60, what="did not listen")


def _user() -> str:
    return "root" if os.geteuid() == 0 else str(os.environ.get("USER", "nobody"))
