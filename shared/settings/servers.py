"""The servers that every service stands on: database and broker."""

import ssl
from pathlib import Path
from typing import Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.settings.address import plain, require_port

USUAL_CLIENT_ID: Final = "livinglab-ingest"


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
        require_port(url)
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
    ca: Path | None = Field(
        default=None, description="PEM of the only authority to trust; else the system's"
    )
    client_id: str = Field(default=USUAL_CLIENT_ID, min_length=1)
    monitor_url: str | None = Field(
        default=None, description="NATS monitoring address: tells what is still pending"
    )

    @field_validator("url")
    @classmethod
    def _mqtt(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError("must look like mqtt://host:port or mqtts://host:port")
        require_port(url)
        return url

    @field_validator("ca")
    @classmethod
    def _readable(cls, ca: Path | None) -> Path | None:
        try:
            ssl.create_default_context(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror if isinstance(error, FileNotFoundError) else "no PEM file"
            raise ValueError(f"{ca}: {reason}") from None
        return ca

    @property
    def tls_context(self) -> ssl.SSLContext:
        """How a server's certificate is checked: name and authority."""
        return ssl.create_default_context(cafile=self.ca)

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
        return plain(urlsplit(self.url).username)

    @property
    def password(self) -> str | None:
        return plain(urlsplit(self.url).password)


class Broker(BaseSettings):
    """The broker as its administrator sees it: needed by `lab broker` and to count violations."""

    model_config = SettingsConfigDict(env_prefix="LAB_BROKER_", env_ignore_empty=True)

    admin_url: SecretStr | None = Field(
        default=None, description="nats:// or mqtt(s)://user:password@host:port, commas for several"
    )
    users_file: Path | None = Field(default=None, description="the file nats.conf includes")
    log: Path | None = Field(default=None, description="the broker's log, where refusals stand")

    @property
    def urls(self) -> tuple[str, ...]:
        """One address of each broker, or of each cluster of NATS."""
        said = self.admin_url.get_secret_value() if self.admin_url else ""
        return tuple(each.strip() for each in said.split(",") if each.strip())

    @property
    def kind(self) -> Literal["nats", "mosquitto"]:
        """Which broker it is, by the protocol its administrator speaks."""
        return "nats" if urlsplit(self.urls[0]).scheme in _NATS else "mosquitto"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        schemes = {urlsplit(url).scheme for url in self.urls}
        if not (schemes <= _NATS or schemes <= _MQTT):
            raise ValueError(
                "admin_url: must look like nats://… or mqtts://user:password@host:port"
            )
        for url in self.urls:
            try:
                require_port(url)
            except ValueError as error:
                raise ValueError(f"admin_url: {error}") from None
        if schemes and schemes <= _NATS and self.users_file is None:
            raise ValueError("users_file: must be set with a nats:// LAB_BROKER_ADMIN_URL")
        return self


_NATS: Final = {"nats", "tls"}
_MQTT: Final = {"mqtt", "mqtts"}
