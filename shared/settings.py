"""Settings, read from the environment (prefix LAB_) and checked before any connection is made."""

import base64
import binascii
import re
from datetime import time
from typing import Final, Literal, Self, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import OperatorError

Severity = Literal["info", "warning", "alarm", "critical"]
SECRET_BYTES: Final = 16
SMTP_PORTS: Final = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


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
        _require_port(url)
        return url.replace("postgres://", "postgresql://", 1)


class Mqtt(BaseSettings):
    """The broker: any that speaks MQTT 3.1.1 (default) or 5."""

    model_config = SettingsConfigDict(env_prefix="LAB_MQTT_", env_ignore_empty=True)

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
        _require_port(url)
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
    finding_actions: bool = Field(
        default=False, description="let whoever reaches the API acknowledge and close findings"
    )

    @model_validator(mode="after")
    def _loopback(self) -> Self:
        if self.host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError("host: must be a loopback address while there is no access control")
        return self


class Alerts(BaseSettings):
    """Where findings are sent: nowhere unless a webhook or a mail server is named."""

    model_config = SettingsConfigDict(env_prefix="LAB_ALERTS_", env_ignore_empty=True)

    webhook_url: str | None = Field(default=None, description="http:// or https://, never followed")
    webhook_secret: SecretStr | None = Field(
        default=None, description="whsec_ and base64, or any text, which is used as it stands"
    )
    smtp_url: SecretStr | None = Field(
        default=None, description="smtp://, smtp+starttls:// or smtps://[user:password@]host[:port]"
    )
    mail_from: str | None = None
    mail_to: str | None = Field(default=None, description="addresses, parted by commas")
    min_severity: Severity = "warning"
    quiet: str | None = Field(default=None, description="22:00-06:00, local to each site")
    attempts: int = Field(default=12, ge=1, le=100, description="before an alert is given up")
    retry_s: float = Field(default=5.0, gt=0, le=3600, description="first pause; doubles, to 1 h")
    timeout_s: float = Field(default=10.0, gt=0, le=30, description="for each step of sending")

    @property
    def channels(self) -> tuple[str, ...]:
        """What is configured of webhook and mail."""
        named = (("webhook", self.webhook_url), ("mail", self.smtp_url))
        return tuple(name for name, where in named if where)

    @field_validator("webhook_url")
    @classmethod
    def _http(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "https://none")
        odd = re.search(r"[\s\x00-\x1f]", url or "")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or odd:
            raise ValueError("must look like https://host/path, without spaces, user or password")
        _require_port(parts.geturl())
        return url or None

    @field_validator("smtp_url")
    @classmethod
    def _smtp(cls, url: SecretStr | None) -> SecretStr | None:
        said = url.get_secret_value() if url else "smtp://none"
        parts = urlsplit(said)
        if parts.scheme not in SMTP_PORTS or not parts.hostname:
            raise ValueError("must look like smtp+starttls://user:password@host:587")
        if parts.scheme == "smtp" and parts.password:
            raise ValueError("a password needs smtp+starttls:// or smtps://")
        _require_port(said)
        return url

    @field_validator("webhook_secret")
    @classmethod
    def _is_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret and len(signing_key(secret.get_secret_value())) < SECRET_BYTES:
            raise ValueError(f"must hold at least {SECRET_BYTES} bytes; whsec_ goes before base64")
        return secret

    @field_validator("mail_from", "mail_to")
    @classmethod
    def _addresses(cls, said: str | None) -> str | None:
        for each in addresses(said or ""):
            if not re.fullmatch(r"[^\s@<>,]+@[^\s@<>,]+", each, re.ASCII):
                raise ValueError(f"{each!r} is no address such as duty@city.example")
        return said

    @field_validator("quiet")
    @classmethod
    def _span(cls, said: str | None) -> str | None:
        if said:
            begin, end = quiet_hours(said)
            if begin == end:
                raise ValueError("begins when it ends; leave it out for no quiet hours")
        return said or None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.webhook_url and not self.webhook_secret:
            raise ValueError("webhook_secret: must be set with LAB_ALERTS_WEBHOOK_URL")
        if self.smtp_url:
            for field in ("mail_from", "mail_to"):
                if not addresses(getattr(self, field) or ""):
                    raise ValueError(f"{field}: must be set with LAB_ALERTS_SMTP_URL")
        return self


class Retention(BaseSettings):
    """How long raw records are kept, and when readings are compressed. 0 days: never."""

    model_config = SettingsConfigDict(env_prefix="LAB_RETENTION_")

    uplink_days: int = Field(default=90, ge=0, description="raw uplinks: reach of reprocessing")
    rejected_days: int = Field(default=30, ge=0)
    feedback_days: int = Field(default=30, ge=1, le=30, description="personal text")
    compress_days: int = Field(default=14, ge=0, description="TimescaleDB community only")


class Log(BaseSettings):
    """How much is written to stderr and in which shape."""

    model_config = SettingsConfigDict(env_prefix="LAB_LOG_")

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


Section = TypeVar("Section", bound=BaseSettings)
SECTIONS: tuple[type[BaseSettings], ...] = (
    *(Database, Mqtt, Ingest, Analytics, Retention, Alerts, Api, Log),
)


def load(section: type[Section]) -> Section:
    """Read one section from the environment; raises SettingsError naming the variable."""
    try:
        return section()
    except ValidationError as error:
        raise SettingsError(_one_line(section, error)) from None


def variable(section: type[BaseSettings], field: str) -> str:
    """The environment variable of a field, e.g. LAB_DATABASE_URL."""
    return f"{section.model_config['env_prefix']}{field}".upper()


def signing_key(secret: str) -> bytes:
    """The bytes a webhook is signed with: `whsec_` goes before base64, any other text is itself."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("what follows whsec_ is not base64") from None


def quiet_hours(said: str) -> tuple[time, time]:
    """Local begin and end of quiet hours, e.g. 22:00-06:00; the end may be on the next day."""
    if re.fullmatch(r"\s*\d\d:\d\d\s*-\s*\d\d:\d\d\s*", said, re.ASCII) is None:
        raise ValueError("must look like 22:00-06:00")
    begin, _, end = said.partition("-")
    try:
        return time.fromisoformat(begin.strip()), time.fromisoformat(end.strip())
    except ValueError:
        raise ValueError("must look like 22:00-06:00") from None


def addresses(said: str) -> list[str]:
    """Mail addresses parted by commas."""
    return [each.strip() for each in said.split(",") if each.strip()]


def _require_port(url: str) -> None:
    """Refuse a port that is none without quoting it: a / in a password makes that part one."""
    try:
        _ = urlsplit(url).port
    except ValueError:
        raise ValueError(
            "what stands after the host's colon is no port; in a password write / as %2F, @ as %40"
        ) from None


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
