"""Corners of the ledger that a model of a million events met, each alone."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from services.ingest.uplink import Message
from shared.settings import Database
from tests.integration.ingest_steps import Steps, message
from tests.integration.test_site_apply import changed

pytestmark = pytest.mark.database
AT = datetime(2026, 3, 1, 2, 15, tzinfo=UTC)
Apply = Callable[[object], list[str]]


@pytest.fixture
def steps(database: Database, apply_site: Apply) -> Iterator[Steps]:
    apply_site(changed("site.name", "Cibinong"))
    steps = Steps(database)
    yield steps
    steps.close()


def up(device: str, minute: int = 0, **values: float) -> Message:
    body: dict[str, Any] = {"time": AT.isoformat(), "values": values}
    at = AT + timedelta(minutes=minute)
    return message(f"livinglab/cibinong/{device}/up", json.dumps(body).encode(), at)


def counted(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT kind, sum(n)::int FROM ledger GROUP BY kind"))
        return {row[0]: row[1] for row in rows if row[1]}


def test_a_reject_redeemed_beside_a_new_one_of_its_kind_leaves_the_new_one_counted(
    steps: Steps, engine: Engine, apply_site: Apply
) -> None:
    steps.push([up("late", level=1)])
    site = changed("site.name", "Cibinong")
    apply_site(site | {"devices": [*site["devices"], site["devices"][0] | {"key": "late"}]})
    steps.applied()
    steps.push([up("late", minute=1, level=1), up("ghost", minute=1, level=1)])
    assert counted(engine) == {"stored": 1, "rejected:unknown_device": 1}


def test_unkeyed_messages_that_arrive_at_one_moment_are_all_stored(
    steps: Steps, engine: Engine
) -> None:
    bodies = [b'{"values": {"level": 1}}', b'{"values": {"level": 2}}', b'[{"n": "level", "v": 3}]']
    topic = "livinglab/cibinong/g1/up"
    assert steps.push([message(topic, body, AT) for body in bodies]).stored == 3
    assert counted(engine) == {"stored": 3, "unkeyed": 3, "item:conflict": 2}
