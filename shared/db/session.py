"""What each part's connections are called, and how long they may hold up others."""

from dataclasses import dataclass
from typing import Final

from shared.db.scope import SCHEMA


@dataclass(frozen=True, slots=True)
class Session:
    """Connection options of one part of the platform, in seconds; 0: no limit.

    name: what pg_stat_activity shows. statement: the longest question. lock: the longest wait for
    somebody else's lock. idle: a transaction left open without a question, which keeps rows from
    being cleaned up and followers of `change` from going on; the server then ends the connection.
    """

    name: str
    statement: float
    lock: float
    idle: float
    schema: str | None = None  # the only one it looks into; None: the database's own
    writes: bool = True

    @property
    def options(self) -> str:
        """For libpq; every session speaks UTC."""
        settings = {
            "timezone": "UTC",
            "application_name": self.name,
            "statement_timeout": round(self.statement * 1000),
            "lock_timeout": round(self.lock * 1000),
            "idle_in_transaction_session_timeout": round(self.idle * 1000),
        }
        if not self.writes:
            settings["default_transaction_read_only"] = "on"
        if self.schema:
            settings["search_path"] = self.schema
        return " ".join(f"-c {name}={value}" for name, value in settings.items())


# Somebody waits for an answer of the API. Ingest tries a batch again and loses nothing by it.
# Slices of analytics take 5 s; a first roll-up or a chunk to compress may take minutes.
# Migrations convert whole tables, a dump keeps its moment for hours, and people can interrupt.
API_READ: Final = Session(
    "lab-api-read", statement=15, lock=5, idle=60, schema=SCHEMA, writes=False
)
API_WRITE: Final = Session("lab-api-write", statement=10, lock=5, idle=30, schema=SCHEMA)
INGEST: Final = Session("lab-ingest", statement=300, lock=60, idle=60)
# Drains a spool beside live messages: it lets them pass, and tries again.
INGEST_BACKLOG: Final = Session("lab-ingest-backlog", statement=300, lock=2, idle=60)
PUSH: Final = Session("lab-push", statement=10, lock=5, idle=30)
# Held up rather than holding up: what the live path has locked is tried again a moment later, and
# sooner than the server would look for a deadlock.
INGEST_TASKS: Final = Session("lab-ingest-tasks", statement=60, lock=0.5, idle=60)
ANALYTICS: Final = Session("lab-analytics", statement=3600, lock=60, idle=3600)
CLI: Final = Session("lab-cli", statement=0, lock=0, idle=0)
SESSIONS: Final = (
    *(API_READ, API_WRITE, INGEST, INGEST_BACKLOG, INGEST_TASKS),
    *(PUSH, ANALYTICS, CLI),
)
