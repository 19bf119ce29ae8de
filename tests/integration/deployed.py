"""The brokers as docker-compose.yml starts them, outside containers: same scripts, same files."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.embedded import nats
from shared.embedded.child import Child, spawn, wait_until
from shared.embedded.nats import free_port, listens
from tests import compose
from tests.compose import ROOT, SECRETS, configured

PLUGIN = Path("/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so")  # where Debian puts it
PROGRAMS = f"{Path(nats.program()).parent}:{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"


@dataclass(frozen=True, slots=True)
class Deployed:
    """A running broker and where its container's folders are here."""

    child: Child
    mqtt_port: int
    admin_port: int
    monitor_port: int
    tls: Path
    broker: Path
    environment: dict[str, str]

    @property
    def log(self) -> Path:
        return self.broker / "broker.log"

    def variables(self) -> dict[str, str]:
        """What .env says of ports."""
        return {"MQTT_PORT": str(self.mqtt_port), "BROKER_PORT": str(self.admin_port)}


def make_ca(directory: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """Run deploy/make-ca."""
    return subprocess.run(
        [ROOT / "deploy/make-ca", directory, *names], capture_output=True, text=True, check=False
    )


@contextmanager
def running_nats(directory: Path) -> Iterator[Deployed]:
    """NATS by its container's entry point, with its configuration and environment."""
    mqtt_port, admin_port, monitor_port = free_port(), free_port(), free_port()
    addresses = {
        "0.0.0.0:4222": f"127.0.0.1:{admin_port}",
        "0.0.0.0:8222": f"127.0.0.1:{monitor_port}",
        "0.0.0.0:8883": f"127.0.0.1:{mqtt_port}",
        "/data": str(directory / "jetstream"),
        "/etc/nats/broker": str(directory / "broker"),
    }
    yield from _started("nats", directory, addresses, (mqtt_port, admin_port, monitor_port))


@contextmanager
def running_mosquitto(directory: Path) -> Iterator[Deployed]:
    """Mosquitto by its container's entry point, with its configuration and environment."""
    port = free_port()
    (directory / "data").mkdir()
    addresses = {
        "listener 8883": f"listener {port} 127.0.0.1",
        "/mosquitto/data": str(directory / "data"),
        "/mosquitto/broker": str(directory / "broker"),
        "/usr/lib/mosquitto_dynamic_security.so": str(PLUGIN),
    }
    yield from _started("mosquitto", directory, addresses, (port, port, 0))


def _started(
    name: str, directory: Path, addresses: dict[str, str], ports: tuple[int, int, int]
) -> Iterator[Deployed]:
    service = compose.services(SECRETS)[name]
    (script,) = service["entrypoint"]
    template = f"./deploy/{name}.conf"
    assert f"./deploy{script}:{script}:ro" in service["volumes"]
    assert any(each.startswith(f"{template}:") for each in service["volumes"])
    tls, broker = directory / "tls", directory / "broker"
    assert make_ca(tls, "broker.example").returncode == 0
    broker.mkdir()
    config = configured(
        ROOT / template, {"/tls/": f"{tls}/", **addresses}, directory / f"{name}.conf"
    )
    if name == "mosquitto" and os.geteuid() == 0:  # the user mosquitto may not come in here
        config.write_text(f"{config.read_text()}user root\n")
    environment = {
        **os.environ,
        **service["environment"],
        **{"PATH": PROGRAMS, "CONFIG": str(config), "XDG_CONFIG_HOME": str(directory / "data")},
        **{"TLS_DIRECTORY": str(tls), "BROKER_DIRECTORY": str(broker)},
        "DATA_DIRECTORY": str(directory / "data"),
    }
    child = spawn(
        name, [str(ROOT / f"deploy{script}")], log=directory / f"{name}.log", env=environment
    )
    try:
        wait_until(lambda: listens(ports[0]), child, patience_s=60, what="did not listen")
        yield Deployed(child, *ports, tls, broker, environment)
    finally:
        child.stop()
