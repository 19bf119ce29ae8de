"""How the services work: gathering, looking for work, listening, keeping, logging."""

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


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

    @property
    def public_url(self) -> str:
        """stand-in"""
        return f"http://{self.host}:{self.port}"

    @model_validator(mode="after")
    def _loopback(self) -> Self:
        if self.host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError("host: must be a loopback address while there is no access control")
        return self


class Access(BaseSettings):
    """What is shown to everybody, and how long people stay signed in."""

    model_config = SettingsConfigDict(env_prefix="LAB_ACCESS_")

    public: bool = Field(
        default=False, description="map, sites, menu board and outcomes without signing in"
    )
    session_idle_min: int = Field(default=120, ge=1, le=1440, description="without a request")
    session_hours: int = Field(default=12, ge=1, le=720, description="whatever happens")
    link_hours: int = Field(default=24, ge=1, le=168, description="life of a sign-in link")


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
