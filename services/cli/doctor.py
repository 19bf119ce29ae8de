"""`lab doctor`: what is there, what is wrong, and what to do about it."""

import platform
import shutil
import socket
from collections.abc import Callable, Iterator

from sqlalchemy.exc import DBAPIError

from services.analytics.pilot import kinds
from services.cli.broker.shared_queue import state as queue_state
from services.ingest.main import known_adapters
from shared.db import credentials, migrate, timescale
from shared.db.engine import sync_engine
from shared.embedded import nats, postgres
from shared.errors import OperatorError
from shared.settings import SECTIONS, USUAL_CLIENT_ID, Broker, Database, Ingest, Mqtt, load
from simulators.scenario import known as known_scenarios


def examine() -> tuple[list[str], bool]:
    """One line for each thing looked at, and whether all that must work does."""
    lines: list[str] = []
    healthy = True
    for name, look, needed in CHECKS:
        try:
            lines += [f"ok       {name:12} {told}" for told in look()]
        except OperatorError as error:
            lines.append(f"{'WRONG   ' if needed else 'absent  '} {name:12} {error}")
            healthy = healthy and not needed
    return lines, healthy


def _python() -> Iterator[str]:
    yield f"{platform.python_version()} on {platform.system()} {platform.machine()}"


def _settings() -> Iterator[str]:
    for section in SECTIONS:
        load(section)
    yield f"{len(SECTIONS)} sections read from LAB_* variables"


def _database() -> Iterator[str]:
    settings = load(Database)
    engine = sync_engine(settings)
    try:
        migrate.ready(engine, settings)
        with engine.connect() as connection:
            told = timescale.versions(connection)
    finally:
        engine.dispose()
    extension = f", TimescaleDB {told['timescaledb']}" if told["timescaledb"] else ""
    yield f"PostgreSQL {told['postgresql']}{extension}: edition {told['edition']}, schema current"


def _broker() -> Iterator[str]:
    settings = load(Mqtt)
    try:
        socket.create_connection((settings.host, settings.port), 3).close()
    except OSError as error:
        raise OperatorError(
            f"LAB_MQTT_URL: nothing answers at {settings.host}:{settings.port}: {error}"
        ) from None
    told = f"LAB_MQTT_PROTOCOL is {settings.protocol}"
    yield f"something listens at {settings.host}:{settings.port}; {told}"


def _access() -> Iterator[str]:
    if not load(Broker).urls:
        raise OperatorError(
            "LAB_BROKER_ADMIN_URL is not set: `lab broker` cannot be used from here"
        )
    if load(Mqtt).client_id == USUAL_CLIENT_ID:
        raise OperatorError(
            "LAB_MQTT_CLIENT_ID is the usual one: a source that connects under it throws ingest out"
        )
    engine = sync_engine(load(Database))
    try:
        with engine.connect() as connection:
            listed = credentials.listing(connection)
    except DBAPIError:
        raise OperatorError("cannot be told without the database") from None
    finally:
        engine.dispose()
    without = [each.user.replace(".", "/") for each in listed if not each.in_force]
    yield f"{len(listed) - len(without)} of {len(listed)} sources have a credential"
    if without:
        yield (
            f"nobody can publish as {', '.join(without)}: where somebody should,"
            " `lab broker credential SITE/SOURCE` makes the password"
        )


def _queue() -> Iterator[str]:
    mqtt, ingest = load(Mqtt), load(Ingest)
    if ingest.source == "jetstream":
        yield queue_state(mqtt, ingest)
    else:
        yield "none is used: LAB_INGEST_SOURCE is mqtt, one process of ingest"


def _embedded() -> Iterator[str]:
    yield f"PostgreSQL {postgres.version_of()}, NATS {nats.version()}"


def _found() -> Iterator[str]:
    for what, names in (
        ("adapters", known_adapters()),
        ("pilot kinds", kinds()),
        ("scenarios", known_scenarios()),
    ):
        yield f"{what}: {', '.join(names)}"


def _browser() -> Iterator[str]:
    found = shutil.which("chromium")
    if found is None:
        raise OperatorError("chromium: only the browser tests need it")
    yield found


CHECKS: tuple[tuple[str, Callable[[], Iterator[str]], bool], ...] = (
    ("python", _python, True),
    ("settings", _settings, True),
    ("database", _database, True),
    ("broker", _broker, True),
    ("access", _access, False),
    ("queue", _queue, True),
    ("embedded", _embedded, False),
    ("found", _found, True),
    ("browser", _browser, False),
)
