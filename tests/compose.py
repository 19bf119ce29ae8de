"""What is deployed: docker-compose.yml as Compose reads it, and the brokers' configurations."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
SECRETS = {
    "DATABASE_PASSWORD": "0a1b2c",
    "MQTT_PASSWORD": "0d4e5f",
    "BROKER_PASSWORD": "1e2f3a",
    "MQTT_CLIENT_ID": "4b5c6d",
}
_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:?[-?])([^}]*))?\})")


class Unset(Exception):
    """A variable that the file demands is not set."""


def services(variables: Mapping[str, str] = SECRETS) -> dict[str, dict[str, Any]]:
    """Every service of the file with `variables` filled in; raises Unset."""
    loaded = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return dict(_filled(loaded["services"], variables))


def configured(template: Path, replaced: dict[str, str], target: Path) -> Path:
    """A broker's deployed configuration with the container's addresses replaced."""
    content = template.read_text()
    for there, here in replaced.items():
        assert there in content, there
        content = content.replace(there, here)
    target.write_text(content)
    return target


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, variables) for each in value]
    if not isinstance(value, str):
        return value
    return _VARIABLE.sub(lambda found: _one(found, variables), value)


def _one(found: re.Match[str], variables: Mapping[str, str]) -> str:
    dollar, name, rule, told = found.groups()
    if dollar:
        return "$"
    given = variables.get(name)
    if given or (given is not None and rule in ("-", "?")):
        return given
    if rule in ("?", ":?", None):
        raise Unset(f"{name}: {told}")
    return str(told)
