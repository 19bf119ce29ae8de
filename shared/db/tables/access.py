"""Who may use the platform: people and machines, their grants, keys, sessions and links.

No secret stands here: passwords as argon2id, all else as SHA-256 of 256 random bits.
"""

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)

from shared.db.tables.columns import identity, metadata, moment, one_of, reference, words
from shared.domain.permission import GRANTED


def _principal() -> Column[int]:
    return Column("principal_id", Integer, ForeignKey("principal.id"), nullable=False)


principal = Table(
    "principal",
    metadata,
    identity(),
    Column("name", Text, nullable=False, unique=True),  # lower case
    Column("machine", Boolean, nullable=False, server_default=text("false")),  # has keys only
    words("password", null=True),  # argon2id in its own notation; null: cannot sign in
    moment("password_at", null=True),
    moment("created_at", now=True),
    moment("disabled_at", null=True),
    CheckConstraint("NOT machine OR password IS NULL", name="machine"),
)
role_grant = Table(
    "role_grant",
    metadata,
    identity(),
    _principal(),
    words("role"),
    reference("site_id", "site.id", null=True),  # null: every site
    Index(
        "role_grant_key",
        "principal_id",
        "role",
        "site_id",
        unique=True,
        postgresql_nulls_not_distinct=True,
    ),
    one_of("role", GRANTED),
)
api_key = Table(
    "api_key",
    metadata,
    identity(),
    _principal(),
    words("name"),
    Column("prefix", Text, nullable=False, unique=True),  # the part that may be shown
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("site_ids", ARRAY(Integer)),  # null: wherever its principal may
    moment("created_at", now=True),
    moment("expires_at"),
    moment("last_used_at", null=True),
    moment("revoked_at", null=True),
    Column("replaces", Integer, ForeignKey("api_key.id")),
    Index("api_key_principal_id_idx", "principal_id"),
)
session = Table(
    "session",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    _principal(),
    moment("created_at", now=True),
    moment("seen_at", now=True),
    words("address", null=True),
    Index("session_principal_id_idx", "principal_id"),
)
sign_in_link = Table(
    "sign_in_link",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    _principal(),
    moment("expires_at"),
    Index("sign_in_link_principal_id_idx", "principal_id"),
)
sign_in_failure = Table(  # by name and address, whether or not there is such a name
    "sign_in_failure",
    metadata,
    Column("who", Text, primary_key=True),
    Column("n", Integer, nullable=False),
    moment("blocked_until"),
    moment("at"),
)
access_state = Table(  # one row: counts changes, so that no process goes on by what it remembers
    "access_state",
    metadata,
    Column("single", Boolean, primary_key=True, server_default=text("true")),
    Column("version", Integer, nullable=False, server_default=text("0")),
    CheckConstraint("single", name="single"),
)
