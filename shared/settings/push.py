"""Where messages are pushed over HTTP, and what one of them may be."""

from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.settings import network


class Push(BaseSettings):
    """`lab push`: loopback, unless there is TLS, its own or that of a proxy."""

    model_config = SettingsConfigDict(env_prefix="LAB_PUSH_", env_ignore_empty=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8001, ge=1, le=65535)
    tls_cert: Path | None = Field(default=None, description="PEM file, chain included")
    tls_key: Path | None = Field(default=None, description="PEM file, without a passphrase")
    trusted_proxies: str | None = Field(
        default=None, description="addresses and networks whose X-Forwarded- headers are believed"
    )
    body_bytes: int = Field(default=2**20, ge=1024, le=64 * 2**20, description="of one message")
    queue: int = Field(default=5000, ge=1, le=100_000, description="messages not yet durable")
    timeout_s: float = Field(
        default=8.0, gt=0, le=300, description="until a message must be durable; else 503"
    )

    @property
    def proxies(self) -> tuple[network.Network, ...]:
        """The trusted proxies, as networks."""
        return network.networks(self.trusted_proxies or "")

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, said: str | None) -> str | None:
        network.networks(said or "")
        return said

    @model_validator(mode="after")
    def _protected(self) -> Self:
        network.require_certificate(self.tls_cert, self.tls_key, "LAB_PUSH")
        if not (network.is_loopback(self.host) or self.tls_cert or self.trusted_proxies):
            raise ValueError(
                f"host: {self.host} is not loopback: set LAB_PUSH_TLS_CERT and LAB_PUSH_TLS_KEY,"
                " or LAB_PUSH_TRUSTED_PROXIES if TLS ends at a proxy"
            )
        return self
