"""Every command of docker-compose.yml, run as written outside containers, until its own health
check says that it works."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from shared.db import sites
from shared.db.engine import connect, sync_engine
from shared.embedded.child import Child, spawn, wait_until
from shared.embedded.nats import free_port
from shared.settings import Database, Mqtt
from shared.site_file import parse
from tests import compose
from tests.compose import ROOT, SECRETS
from tests.integration.deployed import PLUGIN, Deployed, running_mosquitto, running_nats
from tests.integration.mosquitto import MOSQUITTO
from tests.integration.mqtt_attempt import Attempt, refused, trusted, with_user
from tests.integration.test_ingest_path import NOW, site

pytestmark = pytest.mark.database
SCENARIO = "recorded"


@dataclass
class Machine:
    """Where this test's servers are, in place of what the file says."""

    directory: Path
    database: Database
    variables: dict[str, str]
    broker: Deployed | None = None

    def environment(self, service: str) -> dict[str, str]:
        """The service's own, with only the addresses replaced."""
        told: dict[str, str] = self.services[service]["environment"]
        assert told["LAB_DATABASE_URL"] == (
            f"postgresql://lab:{SECRETS['DATABASE_PASSWORD']}@127.0.0.1:5432/livinglab"
        )
        ports = {key: str(self.ports[service]) for key in told if key.endswith("_PORT")}
        if "LAB_PUSH_PORT" in told:  # beside the port of its health
            ports["LAB_PUSH_PORT"] = str(free_port())
        assert (told["LAB_MQTT_CA"], told["LAB_MQTT_CLIENT_ID"]) == (
            "/tls/ca.crt",
            f"livinglab-{SECRETS['MQTT_CLIENT_ID']}",
        )
        here = {**told, **ports, "LAB_DATABASE_URL": self.database.url}
        return {**_clean(), **{key: self._here(value) for key, value in here.items()}}

    def _here(self, path: str) -> str:
        """A path in a container as it is here."""
        if path == "/spool":
            return str(self.directory / "spool")
        folders = {"/tls/": self.broker.tls, "/broker/": self.broker.broker} if self.broker else {}
        for there, folder in folders.items():
            if path.startswith(there):
                return f"{folder}/{path.removeprefix(there)}"
        return path

    @property
    def mqtt(self) -> Mqtt:
        """How ingest reaches the broker."""
        told = self.environment("ingest")
        return Mqtt(url=told["LAB_MQTT_URL"], ca=Path(told["LAB_MQTT_CA"]))

    def __post_init__(self) -> None:
        ports = self.broker.variables() if self.broker else {}
        self.services = compose.services({**SECRETS, **ports, **self.variables})
        self.ports = {name: free_port() for name in self.services}

    def once(self, service: str) -> None:
        done = subprocess.run(
            self.command(service),
            env=self.environment(service),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, (service, done.stdout, done.stderr)

    def command(self, service: str) -> list[str]:
        """The image's entry point and the service's command."""
        return [sys.executable, "-m", "services.cli", *self.services[service]["command"]]

    def healthy(self, service: str) -> bool:
        """What the image's HEALTHCHECK says in this service's container."""
        check = [sys.executable, str(ROOT / "deploy/healthy.py")]
        done = subprocess.run(
            check, env=self.environment(service), capture_output=True, check=False
        )
        return done.returncode == 0

    @contextmanager
    def running(self, service: str) -> Iterator[Child]:
        """Until healthy; afterwards stopped as Compose does, which must end it in good order."""
        assert not self.healthy(service)
        log = self.directory / f"{service}.log"
        child = spawn(service, self.command(service), log=log, env=self.environment(service))
        try:
            wait_until(lambda: self.healthy(service), child, patience_s=90, what="is not healthy")
            yield child
        finally:
            child.stop()
        assert child.process.returncode in (0, -signal.SIGTERM), log.read_text()

    def metrics(self, service: str) -> str:
        """What Prometheus would read."""
        return httpx.get(f"http://127.0.0.1:{self.ports[service]}/metrics").text

    def count(self, table: str) -> int:
        engine = sync_engine(self.database)
        with engine.connect() as connection:
            found = connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0
        engine.dispose()
        return found


def _clean() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("LAB_")}
    return {**kept, "PYTHONPATH": str(ROOT)}


def nobody_else_is_let_in(mqtt: Mqtt) -> None:
    """TLS with the pilot's own authority, and a password."""
    assert not refused(mqtt)
    assert refused(with_user(mqtt, None))
    assert refused(with_user(mqtt, "lab", "guessed"))
    assert refused(Mqtt(url=mqtt.url.replace("mqtts://", "mqtt://")))
    assert trusted(mqtt)
    assert not trusted(Mqtt(url=mqtt.url))


@pytest.fixture
def empty(new_database: Callable[[str], Database]) -> Database:
    return new_database("lab_test_compose")


@pytest.fixture
def on_nats(tmp_path: Path, empty: Database) -> Iterator[Machine]:
    with running_nats(tmp_path) as broker:
        monitor = f"http://127.0.0.1:{broker.monitor_port}"
        variables = {
            **{"MQTT_MONITOR_URL": monitor, "DEMO_SCENARIO": SCENARIO},
            "INGEST_NATS_URL": f"nats://worker:of-this-test@127.0.0.1:{broker.admin_port}",
        }
        yield Machine(tmp_path, empty, variables, broker)


def test_every_part_starts_on_nats_and_a_scenario_arrives(on_nats: Machine) -> None:
    machine = on_nats
    nobody_else_is_let_in(machine.mqtt)
    machine.once("migrate")
    machine.once("broker-users")
    with ExitStack() as stack:
        for service in ("ingest", "push", "analytics", "api"):  # healthy before there is any site
            stack.enter_context(machine.running(service))
        machine.once("lab")  # doctor
        machine.once("demo-site")
        demo = spawn(
            "demo",
            machine.command("demo"),
            log=machine.directory / "demo.log",
            env=machine.environment("demo"),
        )
        try:
            wait_until(
                lambda: machine.count("reading_hourly") > 0,
                demo,
                patience_s=90,
                what="nothing was rolled up",
            )
        finally:
            demo.stop()
        assert demo.process.returncode == 0, demo.log.read_text()


@pytest.mark.long
def test_two_workers_start_at_a_queue_and_a_reading_arrives(on_nats: Machine) -> None:
    machine = replace(on_nats, variables={**on_nats.variables, "INGEST_SOURCE": "jetstream"})
    machine.once("migrate")
    engine = sync_engine(machine.database)
    with engine.begin() as connection:
        sites.apply(connection, parse(site()))
    engine.dispose()
    for service in ("broker-users", "broker-queue"):
        machine.once(service)
    with machine.running("ingest") as child, machine.running("ingest-2"):
        publish_one(machine)
        wait_until(
            lambda: machine.count("reading") == 1, child, patience_s=60, what="stored nothing"
        )


@pytest.fixture
def on_mosquitto(tmp_path: Path, database: Database) -> Iterator[Machine]:
    if MOSQUITTO is None or not PLUGIN.exists():
        pytest.skip("mosquitto is not installed")
    variables = {"MQTT_PROTOCOL": "5", "MQTT_MONITOR_URL": "", "BROKER_PROTOCOL": "mqtts"}
    with running_mosquitto(tmp_path) as broker:
        yield Machine(tmp_path, database, variables, broker)


def own_check_passes(machine: Machine) -> None:
    """The container's health check, where its client program is installed here."""
    if shutil.which("mosquitto_sub") is None:
        return
    service = machine.services["mosquitto"]
    line = service["healthcheck"]["test"][1]
    assert machine.broker
    line = line.replace("-p 8883", f"-p {machine.broker.mqtt_port}")
    line = line.replace("/tls/", f"{machine.broker.tls}/")
    variables = machine.broker.environment
    subprocess.run(["sh", "-c", line], env=variables, capture_output=True, check=True)


def test_ingest_on_mosquitto_over_mqtt_5_tells_what_waits_for_the_database(
    on_mosquitto: Machine, apply_site: Callable[..., Any]
) -> None:
    machine = on_mosquitto
    own_check_passes(machine)
    assert refused(machine.mqtt)
    machine.once("broker-users")
    nobody_else_is_let_in(machine.mqtt)
    apply_site(site())
    with machine.running("ingest") as child:
        with connect(machine.database) as away:
            away.execute("LOCK TABLE reading")
            publish_one(machine)
            wait_until(
                lambda: "lab_ingest_in_flight 1.0" in machine.metrics("ingest"),
                child,
                patience_s=60,
                what="told of nothing in flight",
            )
        wait_until(
            lambda: (
                machine.count("reading") == 1
                and "lab_ingest_in_flight 0.0" in machine.metrics("ingest")
            ),
            child,
            patience_s=60,
            what="committed nothing",
        )


def publish_one(machine: Machine) -> None:
    publisher = Attempt(machine.mqtt, "publisher")
    message = json.dumps({"time": NOW.isoformat(), "values": {"level": 4}}).encode()
    assert publisher.publish("livinglab/cibinong/g1/up", message)
    publisher.close()


def test_the_health_check_says_what_is_wrong(tmp_path: Path, empty: Database) -> None:
    machine = Machine(tmp_path, empty, {})
    check = [sys.executable, str(ROOT / "deploy/healthy.py")]
    told = subprocess.run(check, env=_clean(), capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert re.search("exactly one of .*LAB_API_PORT", told.stderr)
    assert not machine.healthy("ingest")
