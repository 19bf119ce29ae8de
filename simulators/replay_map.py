"""The map of `lab replay`: which columns are time, device and fields."""

from pathlib import Path
from typing import Annotated, Self
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared import yaml_file
from shared.errors import OperatorError

_Key = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
_Column = Annotated[str, Field(min_length=1)]


class MapError(OperatorError):
    """The map cannot be used; the message names the file and the place in it."""


class Map(BaseModel):
    """How rows become messages of the `lab` adapter.

    Wide: `fields` {column: field}, one message per row with every field that has a value.
    Long: `quantity` names the column that says which field, `value` the column that holds it, and
    `fields` is {quantity: field}.
    time_format: of strptime; without it ISO 8601. zone: of times without an offset. devices:
    {cell: device key, or null to leave its rows out}; without it cells are device keys already.
    missing: cells, beside empty ones and NaN, that mean no value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    site: _Key | None = None
    time: _Column
    time_format: str | None = None
    zone: str = "UTC"
    device: _Column
    devices: dict[str, _Key | None] | None = None
    quantity: _Column | None = None
    value: _Column | None = None
    fields: dict[_Column, _Column] = Field(min_length=1)
    missing: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if self.zone not in available_timezones():
            raise ValueError(f"zone: {self.zone!r} is no IANA time zone such as Asia/Jakarta")
        if (self.quantity is None) != (self.value is None):
            raise ValueError("quantity and value go together: both for a long table, none for wide")
        fields = list(self.fields.values())
        for field in fields:
            if self.quantity is None and fields.count(field) > 1:
                raise ValueError(f"fields: two columns give {field!r}")
        return self

    @property
    def columns(self) -> list[str]:
        """The columns it reads, each once."""
        values = [self.quantity, self.value] if self.quantity and self.value else [*self.fields]
        return list(dict.fromkeys([self.time, self.device, *(v for v in values if v)]))


def read_map(file: Path) -> Map:
    """Parse and check a YAML map; raises MapError."""
    try:
        return Map.model_validate(yaml_file.load(file, MapError))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise MapError(": ".join(part for part in (str(file), place, reason) if part)) from None
