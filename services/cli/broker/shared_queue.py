"""`lab broker init|end`: the queue at NATS that several workers of ingest share."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final, Literal, TypeVar

import typer
from nats.aio.client import Client

from services.cli.acting import WhyOption, note, opened, with_database
from services.cli.broker.commands import broker
from services.cli.broker.mqtt_session import connected as mqtt_session
from shared import jetstream
from shared.db import credentials
from shared.errors import OperatorError
from shared.jetstream import QUEUE, STREAM, STREAMS
from shared.nats_client import FAILURES, ask, connected
from shared.settings import Ingest, Mqtt, load

Told = TypeVar("Told")
_API: Final = "$JS.API"
_NOT_FOUND: Final = 404


class QueueRefused(OperatorError):
    """NATS cannot be reached as ingest's own user, or refuses what the queue needs."""


@broker.command()
def init(
    replicas: Annotated[
        int | None,
        typer.Option(
            min=1, max=5, help="Copies of each message; default: as it is, or NATS's own."
        ),
    ] = None,
    why: WhyOption = None,
) -> None:
    """Make the queue that workers share, before the first publisher; repeating it is safe."""
    mqtt, ingest = load(Mqtt), load(Ingest)
    with opened() as engine, engine.connect() as connection:
        filters = [each for source in credentials.listing(connection) for each in source.filters]
    lines = _at_nats(mqtt, ingest, lambda client: _begun(client, mqtt, filters, replicas))
    if any(line[0] in "+~" for line in lines):
        with_database(lambda connection: note(connection, "update", "broker", why, tuple(lines)))
    for line in lines:
        typer.echo(line)


@broker.command()
def end(
    which: Annotated[Literal["mqtt", "jetstream"], typer.Argument(help="What is left behind.")],
    why: WhyOption = None,
) -> None:
    """End what the broker keeps for the source ingest no longer uses: it would grow for ever."""
    mqtt, ingest = load(Mqtt), load(Ingest)
    if ingest.source == which:
        raise OperatorError(f"LAB_INGEST_SOURCE is {which}: what is in use is not ended")
    with_database(lambda connection: note(connection, "delete", "broker", why, (which,)))
    if which == "mqtt":
        with mqtt_session(mqtt, mqtt.client_id) as (_, refusal):
            if refusal:
                raise QueueRefused(f"LAB_MQTT_URL: {refusal}")
        typer.echo("- the MQTT session of ingest")
    else:
        subject = f"{_API}.CONSUMER.DELETE.{STREAM}.{QUEUE}"
        _at_nats(mqtt, ingest, lambda client: _asked(client, subject))
        typer.echo(f"- queue {QUEUE}")


def state(mqtt: Mqtt, ingest: Ingest) -> str:
    """How the queue stands, asked as a worker would; raises QueueRefused."""

    async def looked(url: str) -> dict[str, Any] | None:
        async with connected(url, mqtt.tls_context, inbox_prefix=jetstream.INBOX) as client:
            return await _found(client, f"CONSUMER.INFO.{STREAM}.{QUEUE}")

    for url in ingest.nats_addresses:
        try:
            info = asyncio.run(looked(url))
        except FAILURES as error:
            refusal = f"LAB_INGEST_NATS_URL: {error or type(error).__name__}"
            continue
        if info is None:
            raise QueueRefused(f"queue {QUEUE}: not there: `lab broker init` makes it")
        group = info.get("cluster", {})
        copies = f"{1 + len(group.get('replicas', []))} copies" if group else "one copy"
        away = [each["name"] for each in group.get("replicas", []) if each.get("offline")]
        told = f", {', '.join(away)} away" if away else ""
        return (
            f"{QUEUE}: {info['num_pending']} wait, {info['num_ack_pending']} under way,"
            f" {copies}{told}"
        )
    raise QueueRefused(refusal)


def _at_nats(mqtt: Mqtt, ingest: Ingest, act: Callable[[Client], Awaitable[Told]]) -> Told:
    """Act as ingest's own user, which may do everything, at the first address that answers."""

    async def acted() -> Told:
        async with _first(mqtt, ingest) as client:
            return await act(client)

    if not ingest.nats_addresses:
        raise OperatorError(
            "LAB_INGEST_NATS_URL is not set; for example nats://worker:…@127.0.0.1:4222"
        )
    try:
        return asyncio.run(acted())
    except FAILURES as error:
        raise QueueRefused(f"LAB_INGEST_NATS_URL: {error or type(error).__name__}") from None


@asynccontextmanager
async def _first(mqtt: Mqtt, ingest: Ingest) -> AsyncIterator[Client]:
    account = {"user": mqtt.username, "password": mqtt.password}
    *others, last = ingest.nats_addresses
    for url in others:
        try:
            async with connected(url, mqtt.tls_context, **account):
                last = url
                break
        except FAILURES:
            continue
    async with connected(last, mqtt.tls_context, **account) as client:
        yield client


async def _begun(client: Client, mqtt: Mqtt, filters: list[str], replicas: int | None) -> list[str]:
    lines = []
    if await _found(client, f"STREAM.INFO.{STREAM}") is None:
        await asyncio.to_thread(_let_nats_make_streams, mqtt)
        lines.append("+ the streams of MQTT, by NATS itself")
    for name in STREAMS:
        lines += await _replicated(client, name, replicas)
    return [*lines, await _queue(client, filters), *await _left_behind(client, mqtt)]


def _let_nats_make_streams(mqtt: Mqtt) -> None:
    """It makes them at the first session of an account: so they are as it wants them."""
    with mqtt_session(mqtt) as (_, refusal):
        if refusal:
            raise QueueRefused(f"LAB_MQTT_URL: {refusal}")


async def _replicated(client: Client, name: str, replicas: int | None) -> list[str]:
    """Sessions as well as messages: without those nobody could connect."""
    config = (await _asked(client, f"{_API}.STREAM.INFO.{name}"))["config"]
    have = config["num_replicas"]
    if replicas in (None, have):
        return [f"  stream {name}: {have} replica{'s' * (have > 1)}"]
    config["num_replicas"] = replicas
    await _asked(client, f"{_API}.STREAM.UPDATE.{name}", config)
    return [f"~ stream {name}: {have} → {replicas} replicas"]


async def _queue(client: Client, filters: list[str]) -> str:
    info = await _found(client, f"CONSUMER.INFO.{STREAM}.{QUEUE}")
    before = info["config"] if info else None
    config = jetstream.wanted(filters, before)
    told = f"{len(config['filter_subjects'])} subjects of {len(filters)} filters"
    if config == before:
        return f"  queue {QUEUE}: {told}"
    action = "update" if before else "create"
    await _asked(client, jetstream.CREATE, jetstream.request(action, config))
    return f"{'~' if before else '+'} queue {QUEUE}: {told}"


async def _left_behind(client: Client, mqtt: Mqtt) -> list[str]:
    """What waits for ingest's MQTT session: while it is there, nothing of it is forgotten."""
    consumers = (await _asked(client, f"{_API}.CONSUMER.LIST.{STREAM}"))["consumers"]
    ours = f"{_hash(mqtt.client_id)}_"
    waiting = [
        c["num_pending"] + c["num_ack_pending"] for c in consumers if c["name"].startswith(ours)
    ]
    if not waiting:
        return []
    return [
        f"! ingest's MQTT session holds {sum(waiting)} messages, and each to come: once no ingest"
        " uses it, `lab broker end mqtt`"
    ]


def _hash(name: str) -> str:
    """How NATS names a session's consumers: server/events.go, getHash."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    return "".join(digits[each % 62] for each in hashlib.sha256(name.encode()).digest()[:8])


async def _found(client: Client, what: str) -> dict[str, Any] | None:
    answer = await ask(client, f"{_API}.{what}")
    if answer.get("error", {}).get("code") == _NOT_FOUND:
        return None
    return _granted(what, answer)


async def _asked(client: Client, subject: str, body: object = None) -> dict[str, Any]:
    return _granted(subject, await ask(client, subject, body))


def _granted(what: str, answer: dict[str, Any]) -> dict[str, Any]:
    if refused := jetstream.fault(answer):
        raise QueueRefused(f"{what}: {refused}")
    return answer
