"""One run: a site of its own, a load, some faults, and the account of it."""

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import httpx
from sqlalchemy import Engine

from shared.db import migrate, sites
from shared.db.engine import sync_engine
from shared.settings import Database
from shared.site_file import parse
from tests.chaos import balance, faults
from tests.chaos.load import GAUGES, VALUES, Load
from tests.chaos.stack import Stack

MESSAGES = 4_000
PER_S = 1_000
PATIENCE_S = 120.0


@contextmanager
def ready() -> Iterator[tuple[Stack, Engine]]:
    """A stack that ingests."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        Path(name).chmod(0o755)
        stack = Stack(Path(name))
        stack.start()
        engine = sync_engine(Database(url=stack.url))
        try:
            migrate.upgrade(engine)
            stack.begin("ingest")
            stack.wait_ingesting()
            yield stack, engine
        finally:
            engine.dispose()
            stack.close()


def run(stack: Stack, engine: Engine, seed: int, messages: int = MESSAGES) -> balance.Balance:
    """One run, the same faults and messages for the same seed; what it did goes to stderr."""
    dice, site = random.Random(seed), f"chaos{seed}"
    with engine.begin() as connection:
        sites.apply(connection, parse(_site(site)))
    _wait_subscribed(stack, site)
    load = Load(stack.mqtt, site, seed, messages, PER_S)
    plan = faults.planned(dice, messages / PER_S)
    _say(f"seed {seed}: " + "; ".join(f"{f.after_s} s {f.name}, {f.lasts_s} s" for f in plan))
    load.start()
    faults.run(stack, plan, time.monotonic())
    load.finish(PATIENCE_S)
    begun = time.monotonic()
    found = balance.settled(stack, engine, load, PATIENCE_S)
    _say(f"seed {seed}: {asdict(found)}, settled in {time.monotonic() - begun:.1f} s")
    return found


def _wait_subscribed(stack: Stack, site: str) -> None:
    """Until the broker keeps messages of this site for ingest: before, they are nobody's."""
    deadline = time.monotonic() + 30
    while True:
        told = httpx.get(
            f"{stack.broker.monitor_url}/jsz", params={"consumers": "1", "config": "1"}
        )
        if f"livinglab.{site}." in told.text:
            return
        assert time.monotonic() < deadline, "ingest did not subscribe to the new site"
        time.sleep(0.1)


def _site(key: str) -> dict[str, object]:
    fields = {name: {"property": name} for name in VALUES}
    gauges = [
        {"key": f"g{i}", "profile": f"{key}-p", "source": "lab", "origin": "simulated"}
        for i in range(GAUGES)
    ]
    return {
        "site": {"key": key, "name": "Chaos", "zone": "Asia/Jakarta", "lat": 0, "lon": 0}
        | {"stage": "foundation"},
        "sources": [{"key": "lab", "adapter": "lab", "filters": [f"livinglab/{key}/+/up"]}],
        "profiles": [{"key": f"{key}-p", "fields": fields}],
        "devices": gauges,
    }


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
