"""Whether this process can work, and its metrics for Prometheus."""

from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text

from services.api.access.guard import OPEN, Router, needs
from services.api.deps import OpenDb
from services.api.listing import Payload

PREFIX = ""  # probes and scrapers look at the root


class Health(Payload):
    """The process answers and so does its database; else this is a 503 problem."""

    ok: bool
    database: str


class Metrics(PlainTextResponse):
    """Prometheus text exposition."""

    media_type = CONTENT_TYPE_LATEST


router = Router(tags=["health"])


@router.get("/healthz", summary="Health", dependencies=[OPEN])
async def _health(connection: OpenDb) -> Health:
    await connection.execute(text("SELECT FROM site LIMIT 1"))  # also fails without our views
    return Health(ok=True, database="answers")


@router.get(
    "/metrics",
    summary="Metrics",
    response_class=Metrics,
    dependencies=[needs("metrics:read")],
)
async def _metrics() -> Metrics:
    return Metrics(generate_latest())
