"""Readings of one datastream: raw, bucketed in the site's zone, as CSV, in pages."""

import csv
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import Engine, insert, text

from shared.db import tables
from shared.settings import Database
from tests.integration import api_world

pytestmark = pytest.mark.database
Client = httpx.AsyncClient
ZONES = {1: "Asia/Jakarta", 5: "Asia/Yangon", 9: "Europe/London"}


@pytest_asyncio.fixture
async def client(database: Database, engine: Engine) -> AsyncIterator[Client]:
    api_world.fill(engine)
    async with api_world.api(database) as client:
        yield client


async def get(client: Client, datastream: int = 1, **params: Any) -> Any:
    answer = await client.get(f"/v1/datastreams/{datastream}/readings", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def whole(client: Client, datastream: int = 1, **params: Any) -> list[dict[str, Any]]:
    """Every item, page by page."""
    items, page = [], await get(client, datastream, **params)
    items += page["items"]
    while page["next"]:
        page = await get(client, datastream, **params, cursor=page["next"])
        items += page["items"]
    return items


async def test_raw_readings_are_what_was_stored(client: Client, engine: Engine) -> None:
    with engine.connect() as connection:
        stored = connection.execute(
            text("SELECT time, value, quality FROM reading WHERE datastream_id = 1 ORDER BY time")
        ).all()
    items = await whole(client, limit=50)
    assert len(items) == len(stored) == 432
    assert [
        (datetime.fromisoformat(item["time"]), item["value"], item["quality"]) for item in items
    ] == [tuple(row) for row in stored]


async def test_the_head_names_property_unit_zone_and_origin(client: Client) -> None:
    assert (await get(client, 9, limit=1))["head"] == {
        "datastream": 9,
        "property": "water_level",
        "unit": "m",
        "zone": "Europe/London",
        "origin": "recorded",
    }


async def test_a_span_is_half_open(client: Client) -> None:
    span = {"from": "2026-03-01T00:10:00Z", "to": "2026-03-01T07:30:00+07:00"}
    assert [item["value"] for item in (await get(client, **span))["items"]] == [1.0, 2.0]
    assert (await get(client, **{"from": span["to"], "to": span["from"]}))["items"] == []


@pytest.mark.parametrize("datastream", ZONES)
@pytest.mark.parametrize("bucket", ["5m", "15m", "1h", "1d", "1M"])
async def test_buckets_follow_their_definition(
    client: Client, datastream: int, bucket: str
) -> None:
    zone = ZoneInfo(ZONES[datastream])
    raw = await whole(client, datastream)
    expected: dict[datetime, list[dict[str, Any]]] = {}
    for item in raw:
        local = datetime.fromisoformat(item["time"]).astimezone(zone)
        expected.setdefault(_floor(local, bucket), []).append(item)
    found = await whole(client, datastream, bucket=bucket, limit=7)
    assert [datetime.fromisoformat(item["time"]) for item in found] == sorted(expected)
    for item in found:
        members = expected[datetime.fromisoformat(item["time"])]
        good = [member["value"] for member in members if member["quality"] <= 2]
        assert item["n"] == len(members)
        assert item["n_good"] == len(good)
        ends = (good[0], good[-1], min(good), max(good)) if good else (None,) * 4
        assert (item["first"], item["last"], item["min"], item["max"]) == ends
        assert item["mean"] == (pytest.approx(sum(good) / len(good)) if good else None)


def _floor(local: datetime, bucket: str) -> datetime:
    """The start of a bucket on the wall clock of the site."""
    if bucket.endswith("m"):
        return local.replace(minute=local.minute - local.minute % int(bucket[:-1]))
    hour = local.replace(minute=0)
    return {"1h": hour, "1d": hour.replace(hour=0), "1M": hour.replace(hour=0, day=1)}[bucket]


async def test_a_day_of_a_clock_change_has_its_own_length(client: Client, engine: Engine) -> None:
    start = datetime(2026, 3, 28, tzinfo=UTC)
    with engine.begin() as connection:
        connection.execute(
            insert(tables.reading_hourly),
            [
                {"datastream_id": 9, "hour": start + timedelta(hours=i), "n": 1, "n_good": 1}
                | dict.fromkeys(("sum", "min", "max", "first", "last"), float(i))
                for i in range(72)
            ],
        )
    items = await whole(client, 9, bucket="1d", **{"from": "2026-03-28T00:00:00Z"})
    assert [(item["time"], item["n"]) for item in items[:3]] == [
        ("2026-03-28T00:00:00Z", 24),
        ("2026-03-29T00:00:00Z", 23),
        ("2026-03-30T00:00:00+01:00", 24),
    ]


async def test_buckets_are_whole_and_belong_to_the_span_they_start_in(client: Client) -> None:
    noon = "2026-03-02T05:00:00Z"  # noon in Jakarta
    before = (await get(client, bucket="1d", to=noon))["items"]
    after = (await get(client, bucket="1d", **{"from": noon}))["items"]
    assert before + after == (await get(client, bucket="1d"))["items"]
    assert before[-1]["n"] == 144


@pytest.mark.parametrize("bucket", [None, "1h"])
async def test_csv_says_the_same_as_json(client: Client, bucket: str | None) -> None:
    params = {"bucket": bucket} if bucket else {}
    found = await get(client, **params, limit=20)
    answer = await client.get(
        "/v1/datastreams/1/readings", params={**params, "limit": 20, "format": "csv"}
    )
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(StringIO(answer.text)))
    head = {name: str(value) for name, value in found["head"].items()}
    assert [dict(row) for row in rows] == [
        {name: "" if value is None else str(value) for name, value in item.items()} | head
        for item in found["items"]
    ]
    following = await client.get(answer.links["next"]["url"])
    [first, *_] = csv.DictReader(StringIO(following.text))
    assert first["time"] == (await get(client, **params, limit=21))["items"][20]["time"]


async def test_a_datastream_without_readings_is_empty_and_not_missing(client: Client) -> None:
    for params in ({}, {"bucket": "5m"}, {"bucket": "1M"}, {"bucket": "1mo"}):
        found = await get(client, 2, **params)
        assert (found["items"], found["next"]) == ([], None)
        assert found["head"]["unit"] == "V"
