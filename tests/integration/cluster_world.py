"""Three nodes of NATS as docker-compose.yml starts them, outside containers, each to be killed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shared.embedded.child import Child, spawn, wait_until
from shared.embedded.nats import free_port, listens
from shared.settings import Database, Mqtt
from tests import compose
from tests.compose import ROOT, SECRETS, configured
from tests.integration.broker_world import World
from tests.integration.deployed import PROGRAMS, make_ca
from tests.integration.mqtt_attempt import eventually
from tests.integration.queue_world import PASSWORD, Workers

NAMES = ("nats-1", "nats-2", "nats-3")


@dataclass
class Node:
    """One server of the cluster."""

    name: str
    directory: Path
    environment: dict[str, str]
    client_port: int
    place: Mqtt
    child: Child | None = field(default=None)

    def start(self) -> None:
        self.child = spawn(
            self.name,
            [str(ROOT / "deploy/start-nats")],
            log=self.directory / f"{self.name}.out",
            env=self.environment,
        )

    def kill(self) -> None:
        """As a power cut of its machine would."""
        assert self.child
        self.child.process.kill()
        self.child.process.wait()

    def listening(self) -> None:
        """Wait until MQTT clients may come."""
        assert self.child
        wait_until(
            lambda: listens(self.place.port), self.child, patience_s=90, what="did not listen"
        )


@dataclass
class Cluster:
    """Nodes, and workers at their queue."""

    nodes: dict[str, Node]
    workers: Workers

    def leader(self) -> Node:
        """Where messages are accepted right now."""
        found: list[str] = []

        def told() -> bool:
            group = self.workers.stream().get("cluster", {})
            found[:] = [group["leader"]] if group.get("leader") else []
            return bool(found)

        eventually(told, 60)
        return self.nodes[found[0]]

    def whole(self) -> bool:
        """Whether each node has all that the leader has."""
        group = self.workers.stream().get("cluster", {})
        copies = group.get("replicas", [])
        return len(copies) == 2 and all(c["current"] and not c.get("offline") for c in copies)


@contextmanager
def cluster(directory: Path, database: Database) -> Iterator[Cluster]:
    """Formed, its users and its queue made, without workers."""
    tls, broker = directory / "tls", directory / "broker"
    assert make_ca(tls, "broker.example").returncode == 0
    broker.mkdir()
    routes = {name: free_port() for name in NAMES}
    variables = {f"NATS_{name[-1]}": f"127.0.0.1:{port}" for name, port in routes.items()}
    services = compose.services({**SECRETS, **variables})
    nodes = {
        name: _node(name, directory, routes[name], services[name]["environment"], tls)
        for name in NAMES
    }
    try:
        for node in nodes.values():
            node.start()
        for node in nodes.values():
            node.listening()
        world = _world(directory, database, nodes, tls)
        made = Cluster(nodes, Workers(world, directory))
        try:
            eventually(lambda: world.lab("sync").exit_code == 0, 60)
            eventually(lambda: _begun(world), 90)
            yield made
        finally:
            made.workers.end()
    finally:
        for node in nodes.values():
            if node.child:
                node.child.stop()


def _begun(world: World) -> bool:
    """A cluster takes a while until it has leaders."""
    try:
        return world.lab("init").exit_code == 0
    except Exception:  # whatever it says meanwhile: in the end it must work
        return False


def _node(name: str, directory: Path, route: int, told: dict[str, str], tls: Path) -> Node:
    client, mqtt = free_port(), free_port()
    config = configured(
        ROOT / "deploy/nats-cluster.conf",
        {
            "0.0.0.0:4222": f"127.0.0.1:{client}",
            "0.0.0.0:8222": f"127.0.0.1:{free_port()}",
            "0.0.0.0:8883": f"127.0.0.1:{mqtt}",
            "0.0.0.0:6222": f"127.0.0.1:{route}",
            '"/data"': f'"{directory / name}"',
            "/tls/": f"{tls}/",
        },
        directory / f"{name}.conf",
    )
    broker = directory / "broker"
    environment = {
        **os.environ,
        **told,
        **{"PATH": PROGRAMS, "CONFIG": str(config), "BROKER_DIRECTORY": str(broker)},
        "LOG": told["LOG"].replace("/etc/nats/broker", str(broker)),
    }
    url = f"mqtts://lab:{SECRETS['MQTT_PASSWORD']}@127.0.0.1:{mqtt}"
    return Node(name, directory, environment, client, Mqtt(url=url, ca=tls / "ca.crt"))


def _world(directory: Path, database: Database, nodes: dict[str, Node], tls: Path) -> World:
    first = nodes[NAMES[0]]
    addresses = [f"127.0.0.1:{node.client_port}" for node in nodes.values()]
    variables = {
        "LAB_DATABASE_URL": database.url,
        "LAB_MQTT_URL": first.place.url,
        "LAB_MQTT_CA": str(tls / "ca.crt"),
        "LAB_BROKER_ADMIN_URL": f"tls://broker-admin:{SECRETS['BROKER_PASSWORD']}@{addresses[0]}",
        "LAB_BROKER_USERS_FILE": str(directory / "broker/users.conf"),
        "LAB_INGEST_NATS_URL": ",".join(f"tls://worker:{PASSWORD}@{each}" for each in addresses),
    }
    return World("nats", first.place, directory / "broker/nats-1.log", variables)
