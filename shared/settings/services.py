"""How the services work: gathering, looking for work, listening, keeping, logging."""

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.settings import network
from shared.settings.address import plain, require_port


class Ingest(BaseSettings):
    """How messages are gathered into transactions, and where they wait while none can be made."""

    model_config = SettingsConfigDict(env_prefix="LAB_INGEST_", env_ignore_empty=True)

    batch_size: int = Field(
        default=0, ge=0, le=20_000, description="messages per transaction; 0: as the source allows"
    )
    batch_ms: int = Field(default=50, ge=1, le=10_000, description="longest wait for a full batch")
    health_port: int = Field(
        default=0, ge=0, le=65535, description="/healthz and /metrics; 0 is off"
    )
    source: Literal["mqtt", "jetstream"] = Field(
        default="mqtt", description="jetstream: NATS's queue, which several workers share"
    )
    nats_url: SecretStr | None = Field(
        default=None, description="nats:// or tls://user:password@host:port, commas for several"
    )

    spool: Path | None = Field(
        default=None, description="folder; for a sender that does not keep what is unacknowledged"
    )
    spool_bytes: int = Field(
        default=2 * 2**30, ge=2**20, description="most on disk; beyond it nothing is acknowledged"
    )
    deadline_s: float = Field(
        default=10.0, gt=0, le=300, description="for a commit; doubles while it is tried again"
    )

    @property
    def batch_most(self) -> int:
        """Messages per transaction. Over MQTT half of what NATS lets be under way: a whole window
        in one batch, and each side waits for the other."""
        return self.batch_size or {"mqtt": 1000, "jetstream": 2000}[self.source]

    @property
    def nats_addresses(self) -> tuple[str, ...]:
        """Of the servers of one cluster, each with the user."""
        said = self.nats_url.get_secret_value() if self.nats_url else ""
        return tuple(network.parted(said))

    @property
    def worker(self) -> tuple[str, str] | None:
        """User and password there, for `lab broker sync` to make; `lab` is there already."""
        parts = urlsplit(self.nats_addresses[0] if self.nats_addresses else "")
        if not parts.password or parts.username == "lab":
            return None
        return plain(parts.username) or "", plain(parts.password) or ""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.source == "jetstream" and not self.nats_addresses:
            raise ValueError(
                "nats_url: must be set with LAB_INGEST_SOURCE=jetstream, such as"
                " nats://worker:…@127.0.0.1:4222"
            )
        for url in self.nats_addresses:
            parts = urlsplit(url)
            if parts.scheme not in ("nats", "tls") or not parts.hostname:
                raise ValueError(
                    "nats_url: must look like nats://… or tls://user:password@host:port"
                )
            try:
                require_port(url)
            except ValueError as error:
                raise ValueError(f"nats_url: {error}") from None
        return self


class Analytics(BaseSettings):
    """How often jobs look for new work, should a notification be missed."""

    model_config = SettingsConfigDict(env_prefix="LAB_ANALYTICS_")

    every_s: float = Field(default=2.0, ge=0.1, le=3600)
    health_port: int = Field(default=0, ge=0, le=65535)


class Api(BaseSettings):
    """Where the API and the pages listen, who may stand before them, and what one client gets."""

    model_config = SettingsConfigDict(env_prefix="LAB_API_", env_ignore_empty=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    url: str | None = Field(default=None, description="where people find it: https://lab.example")
    tls_cert: Path | None = Field(default=None, description="PEM file, chain included")
    tls_key: Path | None = Field(default=None, description="PEM file, without a passphrase")
    trusted_proxies: str | None = Field(
        default=None, description="addresses and networks whose X-Forwarded- headers are believed"
    )
    cors_origins: str | None = Field(
        default=None, description="origins whose pages may read /v1/; none: no other page may"
    )
    rate_per_address: int = Field(default=1200, ge=0, description="requests a minute; 0: no limit")
    rate_per_principal: int = Field(default=1200, ge=0, description="the same, of who is known")
    streams: int = Field(default=200, ge=1, le=5000, description="live streams open at once")
    streams_each: int = Field(default=20, ge=1, le=5000, description="of one address or principal")
    body_bytes: int = Field(default=256 * 1024, ge=1024, le=64 * 1024 * 1024)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return network.is_loopback(self.host)

    @property
    def proxies(self) -> tuple[network.Network, ...]:
        """The trusted proxies, as networks."""
        return network.networks(self.trusted_proxies or "")

    @property
    def origins(self) -> frozenset[str]:
        """The origins allowed by CORS."""
        return frozenset(network.parted(self.cors_origins or ""))

    @property
    def public_url(self) -> str:
        """Where people find it, without a slash at the end: `url`, else from host and port."""
        if self.url:
            return self.url
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls_cert else 'http'}://{host}:{self.port}"

    @field_validator("url")
    @classmethod
    def _base(cls, url: str | None) -> str | None:
        return url and network.base_url(url)

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, said: str | None) -> str | None:
        network.networks(said or "")
        return said

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, said: str | None) -> str | None:
        return said and ",".join(map(network.base_url, network.parted(said)))

    @model_validator(mode="after")
    def _protected(self) -> Self:
        network.require_certificate(self.tls_cert, self.tls_key)
        if not (self.loopback or self.tls_cert or self.trusted_proxies):
            raise ValueError(
                f"host: {self.host} is not loopback: set LAB_API_TLS_CERT and LAB_API_TLS_KEY, or"
                " LAB_API_TRUSTED_PROXIES if TLS ends at a proxy"
            )
        if not self.url and self.host in ("0.0.0.0", "::"):
            raise ValueError(
                f"url: must be set when LAB_API_HOST is {self.host}, such as https://lab.example"
            )
        return self


class Access(BaseSettings):
    """What is shown to everybody, and how long people stay signed in."""

    model_config = SettingsConfigDict(env_prefix="LAB_ACCESS_")

    public: bool = Field(
        default=False, description="map, sites, menu board and outcomes without signing in"
    )
    session_idle_min: int = Field(default=120, ge=5, le=1440, description="without a request")
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
