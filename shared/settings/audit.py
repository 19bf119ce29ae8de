"""How the audit log is vouched for, and how long it is kept."""

from typing import Final

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

KEY_BYTES: Final = 16


class Audit(BaseSettings):
    """Without a key the chain is unsigned: whoever can write SQL can write another one."""

    model_config = SettingsConfigDict(env_prefix="LAB_AUDIT_", env_ignore_empty=True)

    key: SecretStr | None = Field(default=None, description="signs heads and anchors")
    former_keys: SecretStr | None = Field(
        default=None, description="keys of before, parted by spaces: they verify, and sign nothing"
    )
    retention_days: int = Field(default=730, ge=0, description="0 keeps all; needs the key")
    head_hours: float = Field(
        default=24, gt=0, le=24, description="how often the head is logged and anchored"
    )

    @field_validator("key", "former_keys")
    @classmethod
    def _long_enough(cls, said: SecretStr | None) -> SecretStr | None:
        for key in said.get_secret_value().split(" ") if said else ():
            if len(key.encode()) < KEY_BYTES:
                raise ValueError(f"must be {KEY_BYTES} bytes or more, without spaces")
        return said

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The key that signs, then those that only verify; empty without any."""
        if self.key is None:
            return ()
        former = self.former_keys.get_secret_value().split(" ") if self.former_keys else []
        return tuple(key.encode() for key in (self.key.get_secret_value(), *former))
