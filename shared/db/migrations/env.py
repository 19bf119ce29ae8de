"""Alembic's entry: one migration run at a time, and none that can hang the site."""

from alembic import context
from sqlalchemy import text
from sqlalchemy.dialects.postgresql.base import ischema_names

from shared.db.tables import metadata
from shared.db.tables.columns import Xid8

ADVISORY_LOCK = 0x11AB
ischema_names["xid8"] = Xid8  # so that `check` can compare it

connection = context.config.attributes["connection"]
connection.execute(text("SET LOCAL lock_timeout = '5s'"))
connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
context.configure(connection=connection, target_metadata=metadata, compare_server_default=False)
with context.begin_transaction():
    context.run_migrations()
