"""A broker under `lab broker`'s care, NATS or Mosquitto, and what its sources hold."""

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

import services.cli.app
from services.cli.app import app
from services.cli.main import add_commands
from shared.embedded import nats
from shared.embedded.child import Child
from shared.settings import Database, Mqtt
from tests.compose import SECRETS
from tests.integration.deployed import PLUGIN, running_mosquitto
from tests.integration.mosquitto import MOSQUITTO
from tests.integration.mqtt_attempt import Attempt, with_user

BROKERS = ("nats", "mosquitto")
CUT_WITHIN_S = 5.0  # what the issue promises


@dataclass
class World:
    """place: how ingest reaches the broker; variables: what `lab` needs to look after it."""

    kind: str
    place: Mqtt
    log: Path
    variables: dict[str, str]
    passwords: dict[str, str] = field(default_factory=dict)
    child: Child | None = None  # NATS's process

    def lab(self, *arguments: str) -> Result:
        """`lab broker …` in this process; raises what `lab` would tell in one line."""
        with pytest.MonkeyPatch.context() as patch:
            for name in [each for each in os.environ if each.startswith("LAB_")]:
                patch.delenv(name)
            for name, value in self.variables.items():
                patch.setenv(name, value)
            patch.setattr(services.cli.app, "configure_logs", lambda _: None)
            add_commands(["broker"])
            done = CliRunner().invoke(app, ["broker", *arguments])
        if isinstance(done.exception, Exception):
            raise done.exception
        return done

    def told(self, *arguments: str) -> str:
        """What a command that must succeed prints."""
        done = self.lab(*arguments)
        assert done.exit_code == 0, done.output
        return done.stdout

    def credential(self, source: str) -> Mqtt:
        """A new one for SITE/SOURCE, as its owner would use it."""
        user, password = re.findall(
            r"^(?:user|password) +(\S+)$", self.told("credential", source), re.M
        )
        self.passwords[user] = password
        return with_user(self.place, user, password)

    def violations(self) -> dict[tuple[str | None, str, str | None], int]:
        """Counts by user, kind and topic."""
        rows: list[dict[str, Any]] = json.loads(self.told("violations", "--json"))
        counts: dict[tuple[str | None, str, str | None], int] = {}
        for row in rows:
            key = row["user"], row["kind"], row["topic"]
            counts[key] = counts.get(key, 0) + row["n"]
        return counts


@contextmanager
def world(kind: str, directory: Path, database: Database) -> Iterator[World]:
    """NATS as the demo runs it, Mosquitto as its container does."""
    common = {"LAB_DATABASE_URL": database.url}
    if kind == "nats":
        with nats.running(directory / "nats") as broker:
            yield World(
                kind,
                Mqtt(url=broker.url, monitor_url=broker.monitor_url),
                broker.child.log,
                {
                    **common,
                    "LAB_MQTT_URL": broker.url,
                    "LAB_MQTT_MONITOR_URL": broker.monitor_url,
                    "LAB_BROKER_ADMIN_URL": broker.admin_url,
                    "LAB_BROKER_USERS_FILE": str(broker.users_file),
                    "LAB_BROKER_LOG": str(broker.child.log),
                },
                child=broker.child,
            )
        return
    if MOSQUITTO is None or not PLUGIN.exists():
        pytest.skip("mosquitto is not installed")
    with running_mosquitto(directory) as deployed:
        where, ca = f"127.0.0.1:{deployed.mqtt_port}", deployed.tls / "ca.crt"
        url = f"mqtts://lab:{SECRETS['MQTT_PASSWORD']}@{where}"
        yield World(
            kind,
            Mqtt(url=url, ca=ca),
            deployed.log,
            {
                **common,
                "LAB_MQTT_URL": url,
                "LAB_MQTT_CA": str(ca),
                "LAB_BROKER_ADMIN_URL": f"mqtts://broker-admin:{SECRETS['BROKER_PASSWORD']}@{where}",
                "LAB_BROKER_LOG": str(deployed.log),
            },
        )


def cut(attempt: Attempt) -> float:
    """Seconds until the broker hung up, from now on; fails beyond what is promised."""
    begun = time.monotonic()
    while attempt.cut_at is None:
        assert time.monotonic() - begun < CUT_WITHIN_S
        time.sleep(0.01)
    return max(0.0, attempt.cut_at - begun)
