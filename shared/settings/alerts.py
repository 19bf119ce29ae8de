"""Where findings are sent, and when not."""

import base64
import binascii
import re
from datetime import time
from typing import Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.settings.address import require_port

Severity = Literal["info", "warning", "alarm", "critical"]
SECRET_BYTES: Final = 16
SMTP_PORTS: Final = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


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
        require_port(parts.geturl())
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
        require_port(said)
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
