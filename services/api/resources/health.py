"""Whether this process can work, and its metrics for Prometheus."""

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text

from services.api.deps import Db
from services.api.listing import Payload

PREFIX = ""  # probes and scrapers look at the root


class Health(Payload):
    """The process answers and so does its database; else this is a 503 problem."""

    ok: bool
    database: str


class Metrics(PlainTextResponse):
    """Prometheus text exposition."""

    media_type = CONTENT_TYPE_LATEST


router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Health")
async def _health(connection: Db) -> Health:
    await connection.execute(text("SELECT 1"))
    return Health(ok=True, database="answers")


@router.get("/metrics", summary="Metrics", response_class=Metrics)
async def _metrics() -> Metrics:
    return Metrics(generate_latest())
