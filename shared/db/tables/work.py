"""Tasks one service asks of another, and the job rows that lock and remember."""

from sqlalchemy import Column, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from shared.db.tables.columns import document, identity, metadata, moment, one_of, words

task = Table(
    "task",
    metadata,
    identity(),
    words("kind"),
    document("args"),
    Column("state", Text, nullable=False, server_default=text("'waiting'")),
    Column("result", JSONB),
    Column("requested_by", Text),
    moment("requested_at", now=True),
    one_of("state", ("waiting", "running", "done", "failed")),
)
job = Table(
    "job",
    metadata,
    Column("name", Text, primary_key=True),
    document("progress"),
    Column("error", Text),
    moment("ran_at", null=True),
)
