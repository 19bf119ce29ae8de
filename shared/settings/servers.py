"""The servers that every service stands on: database and broker."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.settings.address import plain, require_port


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
        require_port(url)
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
        return plain(urlsplit(self.url).username)

    @property
    def password(self) -> str | None:
        return plain(urlsplit(self.url).password)
