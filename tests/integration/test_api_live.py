"""The live stream, against a real server: what changed, to whom it concerns, and its end."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY
from sqlalchemy import Engine, insert, text

from services.api import live
from services.api.main import Server, listening, server
from shared.db import change, tables
from shared.embedded.nats import free_port
from shared.http.listener import PortTaken
from shared.settings import Api, Database
from tests import people
from tests.integration import api_world

pytestmark = pytest.mark.database
NOON = datetime(2026, 4, 1, 12, tzinfo=UTC)
Event = dict[str, Any]


class Running:
    """A server on a free port of this process, and the streams read from it."""

    def __init__(self, served: Server, url: str, key: str) -> None:
        self.server = served
        self.url = url
        self.headers = people.bearer(key)

    @asynccontextmanager
    async def stream(self, **params: Any) -> AsyncIterator[AsyncIterator[Event]]:
        headers = {**self.headers, **params.pop("headers", {})}
        async with (
            httpx.AsyncClient(timeout=60) as client,
            client.stream("GET", f"{self.url}/v1/live", params=params, headers=headers) as answer,
        ):
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield _events(answer.aiter_lines())


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[Event]:
    """Events as a browser reads them; a block of comments alone is the event `comment`."""
    fields: dict[str, str] = {}
    async for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name or "comment"] = value.removeprefix(" ")
            continue
        event = fields.get("event", "comment")
        yield {
            "event": event,
            "id": int(fields["id"]) if "id" in fields else None,
            "data": json.loads(fields["data"]) if "data" in fields else None,
        }
        fields = {}


@pytest_asyncio.fixture
async def running(database: Database, engine: Engine) -> AsyncIterator[Running]:
    api_world.fill(engine)
    port = free_port()
    served = server(database)
    task: asyncio.Task[None]
    with listening(Api(port=port)) as listener:
        task = asyncio.create_task(served.serve(sockets=[listener]))
        await asyncio.wait_for(served.hub.listening.wait(), 20)
        yield Running(served, f"http://127.0.0.1:{port}", people.add(engine))
        served.should_exit = True
        await task


def arrive(engine: Engine, streams: Sequence[int], minute: int) -> int:
    """Commit one batch with a reading of each datastream, as ingest does; returns its id."""
    at = NOON + timedelta(minutes=minute)
    with engine.begin() as connection:
        connection.execute(
            insert(tables.reading),
            [
                {"time": at, "datastream_id": each, "value": float(minute), "quality": 1}
                for each in streams
            ],
        )
        change.record(connection, [(each, at.replace(minute=0)) for each in streams])
        return int(connection.scalar(text("SELECT max(batch_id) FROM change")) or 0)


async def opened(events: AsyncIterator[Event]) -> None:
    """Wait for the first comment: from then on nothing is missed."""
    assert (await anext(events))["event"] == "comment"


async def test_a_change_is_told_with_its_latest_reading(running: Running, engine: Engine) -> None:
    async with running.stream() as events:
        await opened(events)
        batch = arrive(engine, [1, 5], 1)
        told = await anext(events)
    assert (told["event"], told["id"]) == ("reading", batch)
    assert [item["datastream_id"] for item in told["data"]] == [1, 5]
    async with httpx.AsyncClient(base_url=running.url, headers=running.headers) as client:
        latest = (await client.get("/v1/latest")).json()["items"]
    for item in told["data"]:
        [same] = [each for each in latest if each["datastream_id"] == item["datastream_id"]]
        assert item.pop("age_s") <= same.pop("age_s")
        assert item == same


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"site": "yangon"}, [5]),
        ({"pilot": "flood"}, [1, 5]),
        ({"site": "cibinong", "pilot": "flood"}, [1]),
    ],
)
async def test_a_stream_tells_only_what_was_asked_for(
    running: Running, engine: Engine, params: dict[str, str], expected: list[int]
) -> None:
    async with running.stream(**params, max_events=1) as events:
        await opened(events)
        arrive(engine, [1, 5], 1)
        told = [event async for event in events]
    assert [[item["datastream_id"] for item in event["data"]] for event in told] == [expected]


async def test_a_burst_becomes_few_events_that_end_with_the_newest(
    running: Running, engine: Engine
) -> None:
    async with running.stream() as events:
        await opened(events)
        newest = 0
        for minute in range(40):
            newest = await asyncio.to_thread(arrive, engine, [1], minute)
        told = [await anext(events)]
        while told[-1]["id"] < newest:
            told.append(await anext(events))
    assert len(told) < 40
    assert [event["id"] for event in told] == sorted({event["id"] for event in told})
    assert told[-1]["data"][0]["value"] == 39.0


async def test_a_stream_goes_on_after_the_last_event_it_had(
    running: Running, engine: Engine
) -> None:
    seen = arrive(engine, [1], 1)
    newest = arrive(engine, [5], 2)
    async with running.stream(headers={"Last-Event-ID": str(seen)}, max_events=1) as events:
        await opened(events)
        [told] = [event async for event in events]
    assert told["id"] == newest
    assert 5 in [item["datastream_id"] for item in told["data"]]
    async with running.stream(headers={"Last-Event-ID": str(newest)}, max_events=1) as events:
        await opened(events)
        later = arrive(engine, [1], 3)
        assert [event["id"] async for event in events] == [later]


async def test_too_long_an_absence_is_told(
    running: Running, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "REPLAY", 2)
    seen = arrive(engine, [1], 0)
    for minute in range(1, 6):
        arrive(engine, [5], minute)
    async with running.stream(headers={"Last-Event-ID": str(seen)}, max_events=1) as events:
        await opened(events)
        told = [event async for event in events]
    assert [event["event"] for event in told] == ["lagged", "reading"]
    assert "are not told" in told[0]["data"]["reason"]


async def test_a_slow_client_is_dropped_to_the_newest_and_told() -> None:
    client = live.Client(None, None)
    for number in range(live.QUEUE + 1):
        client.offer(live.Event("reading", number, "[]"))
    kept = [client.queue.get_nowait() for _ in range(client.queue.qsize())]
    assert [(event.name, event.batch_id) for event in kept if event] == [
        ("lagged", live.QUEUE),
        ("reading", live.QUEUE),
    ]


async def test_silence_is_filled_with_heartbeats(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.stream.HEARTBEAT_S", 0.1)
    async with running.stream() as events:
        await opened(events)
        assert [(await anext(events))["event"] for _ in range(2)] == ["comment", "comment"]


async def test_open_streams_are_counted_and_forgotten_when_they_end(running: Running) -> None:
    def count() -> float:
        return REGISTRY.get_sample_value("lab_api_live_streams") or 0.0

    before = count()
    async with running.stream() as events, running.stream() as others:
        await opened(events)
        await opened(others)
        assert count() == before + 2
    while count() > before:  # the pytest timeout is the verdict
        await asyncio.sleep(0.01)
    assert running.server.hub.clients == 0


async def test_a_lost_listener_comes_back_and_catches_up(
    running: Running, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "BACKOFF_S", (0.5,))
    hub = running.server.hub
    async with running.stream() as events:
        await opened(events)
        arrive(engine, [1], 1)
        assert (await anext(events))["data"][0]["value"] == 1.0
        with engine.begin() as connection:
            ended = connection.scalar(
                text("""
                    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                    WHERE query LIKE 'LISTEN%' AND datname = current_database()
                """)
            )
        assert ended == 1
        while hub.listening.is_set():
            await asyncio.sleep(0.01)
        arrive(engine, [1], 2)
        told = await anext(events)
        assert told["data"][0]["value"] == 2.0
        arrive(engine, [1], 3)
        while told["data"][0]["value"] != 3.0:
            told = await anext(events)


async def test_an_odd_notification_does_not_end_the_stream(
    running: Running, engine: Engine
) -> None:
    async with running.stream(max_events=1) as events:
        await opened(events)
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_notify('change', 'not a number')"))
        batch = arrive(engine, [1], 1)
        assert [event["id"] async for event in events] == [batch]


async def test_stopping_the_server_ends_open_streams(running: Running) -> None:
    async with running.stream() as events:
        await opened(events)
        running.server.should_exit = True
        assert [event async for event in events] == []


def test_a_taken_port_is_one_line_naming_the_setting() -> None:
    with listening(Api(port=free_port())) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"LAB_API_PORT.*{port}") as told:
            listening(Api(port=port))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_the_process_with_a_stream_open(
    database: Database, engine: Engine, how: signal.Signals
) -> None:
    api_world.fill(engine)
    port = free_port()
    program = (
        "from services.api.main import run; from shared.settings import Access, Api, Database;"
        f"run(Database(url={database.url!r}), Api(port={port}), Access())"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
    url, headers = f"http://127.0.0.1:{port}", people.bearer(people.add(engine))
    async with httpx.AsyncClient(timeout=60, headers=headers) as client:
        while True:
            try:
                assert (await client.get(f"{url}/healthz")).status_code == 200
                break
            except httpx.ConnectError:
                assert process.poll() is None
                await asyncio.sleep(0.05)
        async with client.stream("GET", f"{url}/v1/live") as answer:
            lines = answer.aiter_lines()
            await anext(lines)
            process.send_signal(how)
            async for _ in lines:
                pass
    _, errors = await asyncio.to_thread(process.communicate, timeout=60)
    assert errors == b""
