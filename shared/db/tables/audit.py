"""The audit log: rows as they are written, the seals that chain them, signed places of the chain.

Append-only but for `audit_head`: triggers refuse UPDATE, DELETE and TRUNCATE unless the transaction
has set `lab.audit_unlocked`. That stops mistakes; what stops an attacker is the signed chain.
"""

from sqlalchemy import ARRAY, BigInteger, Column, Identity, Index, Integer, LargeBinary, Table, Text
from sqlalchemy import text as sql

from shared.db.tables.columns import Xid8, document, metadata, moment, one_of, words

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    # Plumbing of the sealer and no part of what is sealed: it means nothing in another cluster.
    Column("xid", Xid8, nullable=False, server_default=sql("pg_current_xact_id()")),
    Column(
        "at",
        moment("at").type,
        nullable=False,
        server_default=sql("clock_timestamp()"),  # now() is when the transaction began
    ),
    words("actor"),
    words("action"),
    words("object"),
    # No foreign key: what is written here changes with nothing else.
    Column("site_id", Integer),
    words("address", null=True),
    words("why", null=True),
    Column("outcome", Text, nullable=False, server_default=sql("'done'")),
    Column("changed", ARRAY(Text), nullable=False, server_default=sql("'{}'")),
    document("values"),
    Index("audit_xid_id_idx", "xid", "id"),
    one_of("outcome", ("done", "refused", "failed")),
)
audit_seal = Table(
    "audit_seal",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("audit_id", BigInteger, nullable=False, unique=True),
    Column("hash", LargeBinary, nullable=False),  # sha256(hash of seq - 1, bytes of the row)
)
# One row: the newest seal, vouched for; its lock is what lets one sealer work at a time.
audit_head = Table(
    "audit_head",
    metadata,
    Column("only", Integer, primary_key=True, autoincrement=False, server_default=sql("1")),
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    moment("at"),
    Column("signature", LargeBinary),
    # Every row up to here, in the order of (xid, id), has its seal.
    Column("passed_xid", Xid8, nullable=False),
    Column("passed_id", BigInteger, nullable=False),
)
audit_anchor = Table(
    "audit_anchor",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    # head: the chain passes through here; start: rows up to here went by retention.
    words("kind"),
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    moment("at"),
    Column("signature", LargeBinary),
    one_of("kind", ("head", "start")),
)
