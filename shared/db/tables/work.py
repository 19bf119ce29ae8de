"""Tasks one service asks of another, and the job rows that lock and remember."""

from sqlalchemy import Column, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from shared.db.tables.columns import (
    document,
    identity,
    metadata,
    moment,
    one_of,
    reference,
    words,
)

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
    reference("site_id", "site.id", null=True),  # null: of every site
    document("progress"),  # how far it is; what goes on after a crash begins here
    moment("finished_at", null=True),
    Index("task_open_idx", "id", postgresql_where=text("state IN ('waiting', 'running')")),
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
