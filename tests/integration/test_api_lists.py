"""Lists: pages, filters, units and origin, and a bounded number of queries."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import Engine, event

from shared.settings import Database
from tests.integration import api_world

pytestmark = pytest.mark.database
Client = httpx.AsyncClient
LISTS = ("sites", "pilots", "devices", "datastreams", "latest", "findings", "outcomes", "ledger")
# ledger: its totals; the others: one query a list.
QUERIES = {name: 1 for name in LISTS} | {
    "ledger": 2,
    "feedback/summary": 1,
    "datastreams/1/readings": 2,
    "datastreams/1/readings?bucket=1d": 2,
}


@pytest_asyncio.fixture
async def client(database: Database, engine: Engine) -> AsyncIterator[Client]:
    api_world.fill(engine)
    async with api_world.api(database) as client:
        yield client


async def get(client: Client, path: str, **params: Any) -> Any:
    answer = await client.get(f"/v1/{path}", params=params or None)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_in_pages_is_the_whole_list(client: Client, name: str) -> None:
    whole = await get(client, name)
    assert whole["next"] is None
    pages: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = await get(client, name, limit=1, **cursor)
        assert len(page["items"]) == 1
        pages += page["items"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert [_still(item) for item in pages] == [_still(item) for item in whole["items"]]


def _still(item: dict[str, Any]) -> dict[str, Any]:
    """An item without its age, which moves between two requests."""
    return {name: value for name, value in item.items() if name != "age_s"}


@pytest.mark.parametrize("name", ["pilots", "devices", "datastreams", "latest"])
async def test_filters_by_key(client: Client, name: str) -> None:
    items = (await get(client, name, site="yangon"))["items"]
    assert items
    assert {item["site"] for item in items} == {"yangon"}
    assert (await get(client, name, site="nowhere"))["items"] == []


@pytest.mark.parametrize(
    "name", ["pilots", "devices", "datastreams", "latest", "findings", "outcomes"]
)
async def test_every_item_tells_its_origin(client: Client, name: str) -> None:
    for item in (await get(client, name))["items"]:
        assert item["origin"] == ("recorded" if item["site"] == "calder" else "simulated")


async def test_one_thing_is_the_item_of_the_list(client: Client) -> None:
    for name, key in (("sites", "key"), ("devices", "id"), ("datastreams", "id")):
        for item in (await get(client, name))["items"]:
            assert await get(client, f"{name}/{item[key]}") == item
    pilot = await get(client, "pilots/1")
    assert pilot.pop("kind_description") == {"observes": ["water_level"]}
    assert pilot == (await get(client, "pilots"))["items"][0]
    assert pilot["service_name"] == "Weather risk management system"


async def test_a_device_tells_its_life_cycle(client: Client) -> None:
    device = await get(client, "devices/1")
    assert device["planned"] == "2025-12-31T17:00:00Z"
    assert device["maintenance"] == [{"from": "2026-01-31T17:00:00Z", "to": "2026-02-01T17:00:00Z"}]
    assert device["interval_s"] == 600


async def test_latest_is_the_newest_observed_with_its_age(client: Client) -> None:
    [item] = (await get(client, "latest", site="cibinong"))["items"]
    assert (item["time"], item["value"], item["quality"]) == ("2026-03-03T23:50:00Z", 431.0, 1)
    assert (item["device"], item["property"], item["unit"]) == ("g1", "water_level", "m")
    assert item["age_s"] > 0


async def test_latest_can_show_who_was_never_heard(client: Client) -> None:
    items = (await get(client, "latest", site="cibinong", silent="true"))["items"]
    assert len(items) == 4
    never = [item for item in items if item["time"] is None]
    assert len(never) == 3
    assert all(item["value"] is item["age_s"] is None for item in never)


async def test_withdrawn_findings_are_hidden_unless_asked_for(client: Client) -> None:
    ids = [item["id"] for item in (await get(client, "findings"))["items"]]
    assert ids == [2, 1]
    items = (await get(client, "findings", withdrawn="true"))["items"]
    assert [item["id"] for item in items] == [3, 2, 1]
    assert items[0]["withdrawn_at"] is not None
    assert items[0]["active"] is False


@pytest.mark.parametrize(
    ("params", "ids"),
    [
        ({"active": "true"}, [2]),
        ({"active": "false"}, [1]),
        ({"kind": "flood_forecast", "withdrawn": "true"}, [3]),
        ({"site": "yangon"}, []),
        ({"from": "2026-03-01T02:00:00Z"}, [2]),
        ({"to": "2026-03-01T02:00:00Z"}, [1]),
    ],
)
async def test_findings_are_filtered(
    client: Client, params: dict[str, str], ids: list[int]
) -> None:
    assert [item["id"] for item in (await get(client, "findings", **params))["items"]] == ids


async def test_outcomes_show_the_latest_version_unless_all_are_asked_for(client: Client) -> None:
    [item] = (await get(client, "outcomes"))["items"]
    assert (item["version"], item["value"], item["state"]) == (2, 0.9, "pass")
    assert item["unit"] == "1"
    assert (item["from"], item["to"]) == ("2026-03-01T00:00:00Z", "2026-03-08T00:00:00Z")
    every = (await get(client, "outcomes", versions="all"))["items"]
    assert [each["version"] for each in every] == [2, 1]


async def test_the_ledger_adds_up(client: Client) -> None:
    ledger = await get(client, "ledger")
    totals = ledger["totals"]
    assert totals["stored"] == sum(item["stored"] for item in ledger["items"]) == 10
    assert totals["rejected"] == 9
    assert totals["repeats"] == totals["rejected_items"] == 3
    assert totals["published"] is totals["pending"] is None
    assert totals["published_reason"]
    assert "LAB_MQTT_MONITOR_URL" in totals["pending_reason"]
    known, unknown = ledger["items"]
    assert (known["source"], known["device"]) == ("plain", "g1")
    assert known["item_reasons"] == {"bad_field": 1, "no_decoder": 2}
    assert unknown["device"] is None
    assert unknown["rejected"] == {"bad_json": 4, "no_device": 5}


async def test_feedback_is_counted_and_never_quoted(client: Client) -> None:
    answer = await client.get("/v1/feedback/summary")
    assert "SECRET" not in answer.text
    assert answer.json()["total"] == 2
    assert [(item["status"], item["n"]) for item in answer.json()["items"]] == [
        ("closed", 1),
        ("open", 1),
    ]


@pytest.mark.parametrize(("path", "most"), QUERIES.items())
async def test_no_list_asks_once_per_item(client: Client, path: str, most: int) -> None:
    asked: list[str] = []
    state = client.app.state  # type: ignore[attr-defined]
    await state.live.listening.wait()  # the stream's own first query is not counted
    engine = state.engine.sync_engine

    def count(*details: Any) -> None:
        asked.append(details[2])

    for _ in range(2):  # whose key it is, is asked; then again once its use is written down
        await get(client, path)
    event.listen(engine, "before_cursor_execute", count)
    await get(client, path)
    event.remove(engine, "before_cursor_execute", count)
    assert len(asked) == most, asked  # the guard asks by the driver itself, with BEGIN


async def test_metrics_are_prometheus_text(client: Client) -> None:
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "lab_api_live_streams" in answer.text
