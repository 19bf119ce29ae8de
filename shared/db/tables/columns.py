"""The metadata and shorthand for columns that every table uses."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Integer,
    MetaData,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import UserDefinedType

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)


class Xid8(UserDefinedType[str]):
    """PostgreSQL's 64-bit transaction id: it never wraps, so it orders commits for ever."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "xid8"


def identity() -> Column[int]:
    return Column("id", Integer, Identity(always=True), primary_key=True)


def moment(name: str, *, null: bool = False, now: bool = False) -> Column[object]:
    return Column(
        name,
        DateTime(timezone=True),
        nullable=null,
        server_default=text("now()") if now else None,
    )


def words(name: str, *, null: bool = False) -> Column[str]:
    return Column(name, Text, nullable=null)


def reference(name: str, target: str, *, null: bool = False) -> Column[int]:
    return Column(name, Integer, ForeignKey(target), nullable=null)


def document(name: str, *, default: str = "{}") -> Column[object]:
    return Column(name, JSONB, nullable=False, server_default=text(f"'{default}'"))


def one_of(column: str, allowed: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in allowed)
    return CheckConstraint(f"{column} IN ({listed})", name=column)
