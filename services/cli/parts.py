"""The parts of a demo: embedded servers and our services, as children of one supervisor."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from shared.embedded.child import Child, spawn, wait_until
from shared.embedded.nats import Broker, free_port

START_PATIENCE_S = 90.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the parts of a running demo are."""

    database: str
    broker: Broker
    api: str

    def environment(self) -> dict[str, str]:
        """The settings another `lab` command needs to join this demo."""
        return {
            "LAB_DATABASE_URL": self.database,
            "LAB_MQTT_URL": self.broker.url,
            "LAB_MQTT_MONITOR_URL": self.broker.monitor_url,
            "LAB_MQTT_CLIENT_ID": self.broker.client_id,
            "LAB_BROKER_ADMIN_URL": self.broker.admin_url,
            "LAB_BROKER_USERS_FILE": str(self.broker.users_file),
            "LAB_BROKER_LOG": str(self.broker.child.log),
            "LAB_API_PORT": self.api.rsplit(":", 1)[1],
        }


@contextmanager
def command(
    name: str, arguments: list[str], environment: Mapping[str, str], logs: Path
) -> Iterator[Child]:
    """Run one `lab` command as a child until the block ends."""
    log = logs / f"{name}.log"
    if log.exists():  # what an earlier start said must not be read as said by this one
        log.replace(logs / f"{name}.previous.log")
    child = spawn(
        name,
        [sys.executable, "-m", "services.cli", *arguments],
        log=log,
        env={**os.environ, **environment},
    )
    try:
        yield child
    finally:
        child.stop()


@contextmanager
def service(name: str, environment: Mapping[str, str], logs: Path) -> Iterator[Child]:
    """Run a service and wait until its health page says ok."""
    if name == "api":
        port = int(environment["LAB_API_PORT"])
        variables = {**environment, "LAB_ACCESS_PUBLIC": "true"}
    else:
        port = free_port()
        variables = {**environment, f"LAB_{name.upper()}_HEALTH_PORT": str(port)}
    with command(name, [name], variables, logs) as child:
        wait_until(
            lambda: _healthy(port),
            child,
            patience_s=START_PATIENCE_S,
            what="did not become healthy",
        )
        yield child


def addresses(database: str, broker: Broker, api_port: int) -> Addresses:
    """Where everything is."""
    return Addresses(database, broker, f"http://127.0.0.1:{api_port}")


def _healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
