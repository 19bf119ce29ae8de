"""Settings, read from the environment (prefix LAB_) and checked before any connection is made."""

from typing import Literal, Self, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import OperatorError


class SettingsError(OperatorError):
    """A setting is missing or cannot be used; the message names the variable."""


class Database(BaseSettings):
    """Where readings live. Any PostgreSQL 15 or newer, with or without TimescaleDB."""

    model_config = SettingsConfigDict(env_prefix="LAB_DATABASE_")

    url: str = Field(description="postgresql://user:password@host:port/name")
    pool: int = Field(default=8, ge=1, le=100, description="connections of one API process")

    @field_validator("url")
    @classmethod
    def _postgresql(cls, url: str) -> str:
        if urlsplit(url).scheme not in ("postgresql", "postgres"):
            raise ValueError("must start with postgresql://")
        return url.replace("postgres://", "postgresql://", 1)


class Mqtt(BaseSettings):
    """The broker: any that speaks MQTT 3.1.1 (default) or 5."""

    model_config = SettingsConfigDict(env_prefix="LAB_MQTT_")

    url: str = Field(
        default="mqtt://127.0.0.1:1883", description="mqtt:// or mqtts://[user:password@]host:port"
    )
    protocol: Literal["3.1.1", "5"] = Field(
        default="3.1.1", description="never detected: the session differs; NATS refuses 5"
    )
    client_id: str = Field(default="livinglab-ingest", min_length=1)
    monitor_url: str | None = Field(
        default=None, description="NATS monitoring address: tells what is still pending"
    )

    @field_validator("url")
    @classmethod
    def _mqtt(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError("must look like mqtt://host:port or mqtts://host:port")
        _ = parts.port  # raises on a port that is no number
        return url

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or (8883 if self.tls else 1883)

    @property
    def tls(self) -> bool:
        return urlsplit(self.url).scheme == "mqtts"

    @property
    def username(self) -> str | None:
        return _plain(urlsplit(self.url).username)

    @property
    def password(self) -> str | None:
        return _plain(urlsplit(self.url).password)


class Ingest(BaseSettings):
    """How messages are gathered into transactions."""

    model_config = SettingsConfigDict(env_prefix="LAB_INGEST_")

    batch_size: int = Field(default=2000, ge=1, le=20_000, description="messages per transaction")
    batch_ms: int = Field(default=50, ge=1, le=10_000, description="longest wait for a full batch")
    health_port: int = Field(
        default=0, ge=0, le=65535, description="/healthz and /metrics; 0 is off"
    )


class Analytics(BaseSettings):
    """How often jobs look for new work, should a notification be missed."""

    model_config = SettingsConfigDict(env_prefix="LAB_ANALYTICS_")

    every_s: float = Field(default=2.0, ge=0.1, le=3600)
    health_port: int = Field(default=0, ge=0, le=65535)


class Api(BaseSettings):
    """Where the API and the pages listen. Loopback only until access control lands."""

    model_config = SettingsConfigDict(env_prefix="LAB_API_")

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)

    @model_validator(mode="after")
    def _loopback(self) -> Self:
        if self.host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError("host: must be a loopback address while there is no access control")
        return self


class Log(BaseSettings):
    """How much is written to stderr and in which shape."""

    model_config = SettingsConfigDict(env_prefix="LAB_LOG_")

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


Section = TypeVar("Section", bound=BaseSettings)
SECTIONS: tuple[type[BaseSettings], ...] = (Database, Mqtt, Ingest, Analytics, Api, Log)


def load(section: type[Section]) -> Section:
    """Read one section from the environment; raises SettingsError naming the variable."""
    try:
        return section()
    except ValidationError as error:
        raise SettingsError(_one_line(section, error)) from None


def variable(section: type[BaseSettings], field: str) -> str:
    """The environment variable of a field, e.g. LAB_DATABASE_URL."""
    return f"{section.model_config['env_prefix']}{field}".upper()


def _plain(part: str | None) -> str | None:
    """A part of a URL without its percent signs: a password may hold @ or / as %40 or %2F."""
    return None if part is None else unquote(part)


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
