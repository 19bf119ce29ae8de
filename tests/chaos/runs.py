"""One run: a site of its own, a load, some faults, and the account of it."""

import random
import sys
import time
from dataclasses import asdict

from shared.db import sites
from shared.site_file import parse
from tests.chaos import balance, faults
from tests.chaos.load import GAUGES, VALUES, Load
from tests.chaos.stands import Ready

MESSAGES = 4_000
PER_S = 1_000
PATIENCE_S = 120.0


def run(on: Ready, seed: int, messages: int = MESSAGES) -> balance.Balance:
    """One run, the same faults and messages for the same seed; what it did goes to stderr."""
    dice, site, stack = random.Random(seed), f"chaos{seed}", on.stack
    with on.engine.begin() as connection:
        sites.apply(connection, parse(_site(site)))
    _wait_subscribed(on, site)
    load = Load(stack.mqtt, site, seed, messages, PER_S)
    plan = faults.planned(dice, on.stand.faults, messages / PER_S)
    what = "; ".join(f"{f.after_s} s {f.name}, {f.lasts_s} s" for f in plan)
    _say(f"seed {seed}, {on.stand.name}: {what}")
    load.start()
    faults.run(stack, plan, time.monotonic())
    load.finish(PATIENCE_S)
    begun = time.monotonic()
    found = balance.settled(stack, on.engine, load, PATIENCE_S)
    _say(f"seed {seed}: {asdict(found)}, settled in {time.monotonic() - begun:.1f} s")
    return found


def _wait_subscribed(on: Ready, site: str) -> None:
    deadline = time.monotonic() + 30
    while not on.stack.broker.keeps(_filter(site)):
        assert time.monotonic() < deadline, "ingest did not subscribe to the new site"
        time.sleep(0.1)


def _filter(site: str) -> str:
    return f"livinglab/{site}/+/up"


def _site(key: str) -> dict[str, object]:
    fields = {name: {"property": name} for name in VALUES}
    gauges = [
        {"key": f"g{i}", "profile": f"{key}-p", "source": "lab", "origin": "simulated"}
        for i in range(GAUGES)
    ]
    return {
        "site": {"key": key, "name": "Chaos", "zone": "Asia/Jakarta", "lat": 0, "lon": 0}
        | {"stage": "foundation"},
        "sources": [{"key": "lab", "adapter": "lab", "filters": [_filter(key)]}],
        "profiles": [{"key": f"{key}-p", "fields": fields}],
        "devices": gauges,
    }


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
