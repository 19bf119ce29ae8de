"""Several NATS servers: one order reaches every node; and NATS's own protocol is no way in."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from shared.embedded.child import Child, spawn, wait_until
from shared.embedded.nats import free_port, listens, program, write_private
from shared.errors import OperatorError
from shared.settings import Database, Mqtt
from tests.integration.broker_world import World, cut, world
from tests.integration.mqtt_attempt import Attempt, eventually, refused, with_user
from tests.integration.test_ingest_path import site

pytestmark = pytest.mark.database
# JetStream wants three servers for a cluster; what is asked here needs no streams of its own.
NODE = """
server_name: {name}
listen: "127.0.0.1:{client}"
jetstream {{ store_dir: "{store}" }}
mqtt {{ listen: "127.0.0.1:{mqtt}" }}
cluster {{ name: lab, listen: "127.0.0.1:{route}", routes: [ {routes} ] }}
accounts {{ $SYS {{ users: [ {{ user: broker-admin, password: "admin-of-this-test" }} ] }} }}
authorization {{ include "users.conf" }}
"""


@dataclass(frozen=True)
class Node:
    """One server of the cluster."""

    child: Child
    client_port: int
    place: Mqtt


def started(directory: Path, stack: ExitStack, names: tuple[str, ...]) -> list[Node]:
    routes = {name: free_port() for name in names}
    nodes = []
    for name in names:
        client, mqtt = free_port(), free_port()
        config = directory / f"{name}.conf"
        config.write_text(
            NODE.format(
                name=name,
                client=client,
                mqtt=mqtt,
                store=directory / name,
                route=routes[name],
                routes=", ".join(f'"nats://127.0.0.1:{port}"' for port in routes.values()),
            )
        )
        child = spawn(name, [program(), "-c", str(config)], log=directory / f"{name}.log")
        stack.callback(child.stop)
        nodes.append(Node(child, client, Mqtt(url=f"mqtt://lab:first@127.0.0.1:{mqtt}")))
    for node in nodes:
        wait_until(
            lambda node=node: listens(node.place.port),  # type: ignore[misc]
            node.child,
            patience_s=60,
            what="did not listen",
        )
    return nodes


@pytest.fixture
def cluster(
    tmp_path: Path,
    database: Database,
    apply_site: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[World, list[Node]]]:
    monkeypatch.setenv("MQTT_PASSWORD", '"first"')
    users = tmp_path / "users.conf"
    write_private(users, "users: [\n{user: lab, password: $MQTT_PASSWORD}\n]\n")
    apply_site(site())
    with ExitStack() as stack:
        nodes = started(tmp_path, stack, ("one", "two", "three"))
        admin = f"nats://broker-admin:admin-of-this-test@127.0.0.1:{nodes[0].client_port}"
        variables = {
            "LAB_DATABASE_URL": database.url,
            "LAB_MQTT_URL": nodes[0].place.url,
            "LAB_BROKER_ADMIN_URL": admin,
            "LAB_BROKER_USERS_FILE": str(users),
        }
        yield World("nats", nodes[0].place, nodes[0].child.log, variables), nodes


def accepted(place: Mqtt) -> bool:
    """A cluster takes a while until it can keep sessions."""
    attempt = Attempt(place, "waits")
    attempt.close()
    return attempt.accepted is True


def test_a_revoked_source_is_cut_from_every_node(cluster: tuple[World, list[Node]]) -> None:
    at, nodes = cluster
    account = at.credential("cibinong/plain")
    places = [with_user(node.place, account.username, account.password) for node in nodes]
    for place in places:
        eventually(lambda place=place: accepted(place), 60)  # type: ignore[misc]
    connected = [Attempt(place, f"on-{i}") for i, place in enumerate(places)]
    assert all(each.accepted for each in connected)
    at.told("revoke", "cibinong/plain")
    for each in connected:
        cut(each)
    assert all(refused(place) for place in places)


def test_two_servers_apart_are_each_told_and_one_that_is_away_is_named(
    cluster: tuple[World, list[Node]],
) -> None:
    at, nodes = cluster
    away = free_port()
    admin = at.variables["LAB_BROKER_ADMIN_URL"]
    at.variables["LAB_BROKER_ADMIN_URL"] = f"nats://broker-admin:x@127.0.0.1:{away},{admin}"
    with pytest.raises(OperatorError, match=rf"was not read by 127\.0\.0\.1:{away}"):
        at.lab("sync")
    assert "Reloaded" in nodes[0].child.log.read_text()


def test_a_source_cannot_use_nats_s_own_protocol(
    tmp_path: Path, database: Database, apply_site: Callable[..., Any]
) -> None:
    """There $MQTT.sub.> would show what other sessions are sent."""
    apply_site(site())
    with world("nats", tmp_path, database) as at:
        account = at.credential("cibinong/plain")
        port = urlsplit(at.variables["LAB_BROKER_ADMIN_URL"]).port
        assert not refused(account)
        told = asyncio.run(tried(f"127.0.0.1:{port}", account))
        assert "uthorization" in told


async def tried(place: str, account: Mqtt) -> str:
    """Connect by NATS's own protocol; the refusal."""
    reader, writer = await asyncio.open_connection(*place.split(":"))
    user = json.dumps({"user": account.username, "pass": account.password, "verbose": False})
    writer.write(f"CONNECT {user}\r\nSUB $MQTT.sub.> 1\r\nPING\r\n".encode())
    await writer.drain()
    told = (await asyncio.wait_for(reader.read(), 30)).decode()
    writer.close()
    await writer.wait_closed()
    return told
