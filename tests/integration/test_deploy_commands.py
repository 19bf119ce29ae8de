"""Every command of docker-compose.yml, run as written outside containers, until its own health
check says that it works."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import text

from shared.db.engine import connect, sync_engine
from shared.embedded import nats
from shared.embedded.child import Child, spawn, wait_until
from shared.embedded.nats import free_port, listens
from shared.settings import Database
from tests import compose
from tests.compose import ROOT, SECRETS, configured
from tests.integration.test_ingest_mosquitto import MOSQUITTO
from tests.integration.test_ingest_path import NOW, site

pytestmark = pytest.mark.database
SCENARIO = "recorded"


@dataclass
class Machine:
    """Where this test's servers are, in place of what the file says."""

    directory: Path
    database: Database
    mqtt_port: int
    variables: dict[str, str]

    def environment(self, service: str) -> dict[str, str]:
        """The service's own, with only the addresses replaced."""
        told: dict[str, str] = self.services[service]["environment"]
        assert told["LAB_DATABASE_URL"] == (
            f"postgresql://lab:{SECRETS['DATABASE_PASSWORD']}@127.0.0.1:5432/livinglab"
        )
        ports = {key: str(self.ports[service]) for key in told if key.endswith("_PORT")}
        return {**_clean(), **told, **ports, "LAB_DATABASE_URL": self.database.url}

    def __post_init__(self) -> None:
        self.services = compose.services(
            {**SECRETS, "MQTT_PORT": str(self.mqtt_port), **self.variables}
        )
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


def anonymous_is_refused(port: int) -> bool:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="nobody")
    refused: list[bool] = []
    client.on_connect = lambda _c, _u, _f, reason, _p: refused.append(reason.is_failure)
    client.connect("127.0.0.1", port)
    deadline = time.monotonic() + 60
    while not refused and time.monotonic() < deadline:
        client.loop(0.1)
    client.disconnect()
    return refused == [True]


@pytest.fixture
def empty(new_database: Callable[[str], Database]) -> Database:
    return new_database("lab_test_compose")


@pytest.fixture
def on_nats(tmp_path: Path, empty: Database) -> Iterator[Machine]:
    """NATS with the deployed configuration and the service's own environment."""
    mqtt_port, monitor_port = free_port(), free_port()
    monitor = f"http://127.0.0.1:{monitor_port}"
    machine = Machine(
        tmp_path,
        empty,
        mqtt_port,
        {"MQTT_MONITOR_URL": monitor, "DEMO_SCENARIO": SCENARIO},
    )
    addresses = {
        "127.0.0.1:4222": f"127.0.0.1:{free_port()}",
        "0.0.0.0:8222": f"127.0.0.1:{monitor_port}",
        "0.0.0.0:1883": f"127.0.0.1:{mqtt_port}",
        "/data": str(tmp_path / "jetstream"),
    }
    config = configured(ROOT / "deploy/nats.conf", addresses, tmp_path / "nats.conf")
    service = machine.services["nats"]
    assert service["command"][0] == "-c"
    assert service["volumes"][0] == f"./deploy/nats.conf:{service['command'][1]}:ro"
    child = spawn(
        "nats",
        [nats.program(), "-c", str(config)],
        log=tmp_path / "nats.log",
        env={**os.environ, **service["environment"]},
    )
    wait_until(lambda: listens(mqtt_port), child, patience_s=60, what="did not listen")
    yield machine
    child.stop()


def test_every_part_starts_on_nats_and_a_scenario_arrives(on_nats: Machine) -> None:
    machine = on_nats
    assert anonymous_is_refused(machine.mqtt_port)
    machine.once("migrate")
    with ExitStack() as stack:
        for service in ("ingest", "analytics", "api"):  # healthy before there is any site
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


@pytest.fixture
def on_mosquitto(tmp_path: Path, database: Database) -> Iterator[Machine]:
    """Mosquitto by the service's own shell line, with the deployed configuration."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    port = free_port()
    machine = Machine(tmp_path, database, port, {"MQTT_PROTOCOL": "5", "MQTT_MONITOR_URL": ""})
    (data := tmp_path / "data").mkdir()
    addresses = {"listener 1883": f"listener {port} 127.0.0.1", "/mosquitto/data": str(data)}
    config = configured(ROOT / "deploy/mosquitto.conf", addresses, tmp_path / "mosquitto.conf")
    if os.geteuid() == 0:  # the image's user is mosquitto; here nobody else owns the files
        config.write_text(f"{config.read_text()}user root\n")
    service = machine.services["mosquitto"]
    line = str(service["command"][2])
    assert "/mosquitto/config/mosquitto.conf" in line
    line = line.replace("/mosquitto/config/mosquitto.conf", str(config))
    child = spawn(
        "mosquitto",
        [*service["command"][:2], line.replace("/mosquitto/data", str(data))],
        log=tmp_path / "mosquitto.log",
        env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin", **service["environment"]},
    )
    wait_until(lambda: listens(port), child, patience_s=60, what="did not listen")
    yield machine
    child.stop()


def own_check_passes(machine: Machine) -> None:
    """The container's health check, where its client program is installed here."""
    if shutil.which("mosquitto_sub") is None:
        return
    service = machine.services["mosquitto"]
    line = service["healthcheck"]["test"][1]
    line = line.replace("mosquitto_sub", f"mosquitto_sub -p {machine.mqtt_port}")
    variables = {**os.environ, **service["environment"]}
    subprocess.run(["sh", "-c", line], env=variables, capture_output=True, check=True)


def test_ingest_on_mosquitto_over_mqtt_5_tells_what_waits_for_the_database(
    on_mosquitto: Machine, apply_site: Callable[..., Any]
) -> None:
    machine = on_mosquitto
    assert anonymous_is_refused(machine.mqtt_port)
    own_check_passes(machine)
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
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="publisher")
    client.username_pw_set("lab", SECRETS["MQTT_PASSWORD"])
    client.connect("127.0.0.1", machine.mqtt_port)
    client.loop_start()
    message = json.dumps({"time": NOW.isoformat(), "values": {"level": 4}})
    client.publish("livinglab/cibinong/g1/up", message, qos=1).wait_for_publish(30)
    client.disconnect()
    client.loop_stop()


def test_the_health_check_says_what_is_wrong(tmp_path: Path, empty: Database) -> None:
    machine = Machine(tmp_path, empty, 1883, {})
    check = [sys.executable, str(ROOT / "deploy/healthy.py")]
    told = subprocess.run(check, env=_clean(), capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert re.search("exactly one of .*LAB_API_PORT", told.stderr)
    assert not machine.healthy("ingest")
