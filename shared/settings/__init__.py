"""Settings, read from the environment (prefix LAB_) and checked before any connection is made."""

from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from shared.errors import OperatorError
from shared.settings.alerts import SMTP_PORTS, Alerts, addresses, quiet_hours, signing_key
from shared.settings.audit import Audit
from shared.settings.push import Push
from shared.settings.servers import USUAL_CLIENT_ID, Broker, Database, Mqtt
from shared.settings.services import Access, Analytics, Api, Ingest, Log, Retention

Section = TypeVar("Section", bound=BaseSettings)
SECTIONS: tuple[type[BaseSettings], ...] = (
    *(Database, Mqtt, Broker, Ingest, Push, Analytics, Retention, Alerts, Audit, Api, Access, Log),
)
__all__ = [
    "SECTIONS",
    "SMTP_PORTS",
    "USUAL_CLIENT_ID",
    "Access",
    "Alerts",
    "Analytics",
    "Api",
    "Audit",
    "Broker",
    "Database",
    "Ingest",
    "Log",
    "Mqtt",
    "Push",
    "Retention",
    "SettingsError",
    "addresses",
    "load",
    "quiet_hours",
    "signing_key",
    "variable",
]


class SettingsError(OperatorError):
    """A setting is missing or cannot be used; the message names the variable."""


def load(section: type[Section]) -> Section:
    """Read one section from the environment; raises SettingsError naming the variable."""
    try:
        return section()
    except ValidationError as error:
        raise SettingsError(_one_line(section, error)) from None


def variable(section: type[BaseSettings], field: str) -> str:
    """The environment variable of a field, e.g. LAB_DATABASE_URL."""
    return f"{section.model_config['env_prefix']}{field}".upper()


def _one_line(section: type[BaseSettings], error: ValidationError) -> str:
    first = error.errors()[0]
    reason = first["msg"].removeprefix("Value error, ")
    if first["loc"]:
        name = variable(section, str(first["loc"][0]))
    else:  # a rule over several fields: its text begins with the field's name
        field, _, reason = reason.partition(": ")
        name = variable(section, field)
    if first["type"] == "missing":
        return f"{name} is not set; for example {name}=postgresql://lab@localhost/livinglab"
    return f"{name}: {reason}"
