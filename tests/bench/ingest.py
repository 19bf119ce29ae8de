"""`make bench-ingest`: the whole path of ingest beside the least a Python process can do.

Prints a table, then one JSON line in readings per second: {"ours", "bare", "copy", "telegraf",
"p99_ms", "ours_mqtt", "ours_queue"}; `ours` is the faster of our two ways. Ours and bare take turns
on one broker and one database; each drains what a process of its own has published before.
LAB_BENCH_UPLINKS and LAB_BENCH_ROUNDS set how much of it, and LAB_BENCH_LATENCY_S for how long
latency and memory are watched.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from shared.db.engine import connect
from shared.settings import USUAL_CLIENT_ID
from tests.bench import ingest_bare, ingest_telegraf
from tests.bench.ingest_messages import READINGS
from tests.bench.ingest_world import (
    STORED,
    World,
    cpu_clock,
    ingesting,
    memory_mb,
    polled,
    publish,
    publishing,
    world,
)

UPLINKS: Final = int(os.environ.get("LAB_BENCH_UPLINKS", "50000"))
ROUNDS: Final = int(os.environ.get("LAB_BENCH_ROUNDS", "3"))
LATENCY_S: Final = float(os.environ.get("LAB_BENCH_LATENCY_S", "20"))
MEMORY_S: Final = 10
WORKERS: Final = 2
COPIED: Final = 300_000
WAYS: Final = {"Telegraf, a row per uplink": True, "Telegraf, a row per reading": False}


class Run(NamedTuple):
    """One drain: readings per second, and the CPU time of each part in µs per uplink."""

    rate: float
    cpu: dict[str, float]


class Median(NamedTuple):
    """Of several runs, with the slowest and the fastest."""

    what: str
    rate: float
    least: float
    most: float
    cpu: dict[str, float]


def drained(counts: Iterable[int]) -> float:
    """Readings per second from the first batch seen to the last."""
    begun, first = 0.0, 0
    for count in counts:
        if count and not first:
            begun, first = time.perf_counter(), count
        if count >= UPLINKS:
            return (count - first) * READINGS / (time.perf_counter() - begun)
    raise SystemExit("not everything arrived")


def timed(world: World, clients: Sequence[int], counts: Iterable[int], *, already: int = 0) -> Run:
    """already: uplinks that were committed before, while others of the clients still started."""
    clock = cpu_clock(world, clients)
    before = clock()
    rate = drained(counts)
    each = (UPLINKS - already) / 1e6
    return Run(rate, {name: (spent - before[name]) / each for name, spent in clock().items()})


def ours(world: World, workers: int = 0) -> Run:
    """From a broker that holds everything to committed; workers: of the queue, see `ingesting`."""
    with ingesting(world, workers):
        pass  # its session stands: the broker keeps what is published
    publish(world, UPLINKS)
    with connect(world.database, autocommit=True) as connection:
        before = connection.execute(STORED).fetchall()[0][0]
        with ingesting(world, workers) as pids:
            counts = (n - before for n in polled(connection, STORED, 0.05))
            run = timed(world, pids, counts, already=next(counts))
    if not workers:
        ingest_bare.forget(world.broker.url, USUAL_CLIENT_ID)
    return run


def bare(world: World) -> Run:
    """The same through the bare loop, which tells its own progress."""
    with connect(world.database, autocommit=True) as connection:
        connection.execute(ingest_bare.TABLES)
    ingest_bare.subscribe(world.broker.url)
    publish(world, UPLINKS)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.bench.ingest_bare"),
            *(world.broker.url, world.database.url, str(UPLINKS)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    run = timed(world, [process.pid], (int(line) for line in process.stdout))
    process.communicate(timeout=30)  # it waited, so that its CPU time could be read
    ingest_bare.forget(world.broker.url)
    return run


def telegraf(program: str, world: World, turn: int, *, wide: bool) -> Run:
    """The same through Telegraf: a row per uplink, as it would, or a row per reading, as we do."""
    names = ingest_telegraf.FIELDS
    tables = {f"wide_{turn}": names} if wide else {f"{n}_{turn}": [n] for n in names}
    with tempfile.TemporaryDirectory() as name:
        process = ingest_telegraf.start(program, world, Path(name), tables)
        try:
            time.sleep(3)
            process.terminate()
            process.wait(30)
            publish(world, UPLINKS)
            process = ingest_telegraf.start(program, world, Path(name), tables)
            with connect(world.database, autocommit=True) as connection:
                arrived = ingest_telegraf.arrived(connection, list(tables)[-1])
                return timed(world, [process.pid], arrived)
        finally:
            process.terminate()
            process.wait(30)
            ingest_bare.forget(world.broker.url, ingest_telegraf.CLIENT_ID)


def copy(world: World) -> float:
    """Binary COPY of what is encoded already, into a table of the same shape and index."""
    blocks = []
    for first in range(0, COPIED, 5000):
        rows = (
            ingest_bare.READING.pack(4, 8, i * 60_000_000, 4, i % 3000, 8, 1.5, 2, 1)
            for i in range(first, first + 5000)
        )
        blocks.append(b"".join((ingest_bare.HEAD, *rows, ingest_bare.TAIL)))
    with connect(world.database) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS yardstick")
        cursor.execute("CREATE TABLE yardstick (LIKE reading)")
        cursor.execute("CREATE UNIQUE INDEX ON yardstick (datastream_id, time)")
        connection.commit()
        begun = time.perf_counter()
        for block in blocks:
            with cursor.copy("COPY yardstick FROM STDIN (FORMAT BINARY)") as into:
                into.write(block)
            connection.commit()
        return COPIED / (time.perf_counter() - begun)


def latencies(world: World, per_second: float) -> tuple[list[float], list[float]]:
    """Milliseconds from publish to queryable of each uplink, sorted; ingest's memory every 10 s.

    Uplinks become queryable in the order they were published; asked every few milliseconds.
    """
    count, seen = int(per_second * LATENCY_S), [(0.0, 0)]
    begun, memory = datetime.now(UTC) - timedelta(seconds=1), list[float]()
    with ingesting(world) as (pid,), connect(world.database, autocommit=True) as connection:
        before = connection.execute(STORED).fetchall()[0][0]
        process = publishing(world, count, per_second)
        for stored in polled(connection, STORED, 0.005):
            if stored - before > seen[-1][1]:
                seen.append((time.time(), stored - before))
            if time.time() - begun.timestamp() > MEMORY_S * (len(memory) + 1):
                memory.append(memory_mb(pid))
            if stored - before >= count:
                break
        else:
            raise SystemExit("not everything arrived")
        process.wait(30)
        sent = connection.execute(
            "SELECT extract(epoch FROM observed_at)::float8 FROM uplink"
            " WHERE observed_at > %s ORDER BY 1",
            [begun],
        ).fetchall()
        memory.append(memory_mb(pid))
    waits: list[float] = []
    for at, stored in seen:
        waits += [(at - row[0]) * 1000 for row in sent[len(waits) : stored]]
    return sorted(waits), memory


def middle(what: str, runs: list[Run]) -> Median:
    rates = [run.rate for run in runs]
    cpu = {name: median(run.cpu[name] for run in runs) for name in runs[0].cpu}
    return Median(what, median(rates), min(rates), max(rates), cpu)


def table(rows: list[Median], base: float) -> str:
    lines = ["| what | readings/s | least-most | ratio to bare | CPU, µs per uplink |"]
    lines.append("|---|---|---|---|---|")
    for row in rows:
        cpu = ", ".join(f"{name} {used:.0f}" for name, used in row.cpu.items())
        span = f"{row.least:,.0f}-{row.most:,.0f}"
        lines.append(f"| {row.what} | {row.rate:,.0f} | {span} | {row.rate / base:.2f} | {cpu} |")
    return "\n".join(lines)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def turns(on: World, queue: World, program: str | None) -> list[Median]:
    """Everybody once a round, so that a busy minute strikes them alike. queue: a world of its own,
    where the queue keeps what is published for nobody else."""
    runs: dict[str, list[Run]] = {}
    for turn in range(ROUNDS):
        runs.setdefault("ours: QoS 1 → committed → acked", []).append(ours(on))
        runs.setdefault("bare loop", []).append(bare(on))
        runs.setdefault(f"ours, {WORKERS} workers at the queue", []).append(ours(queue, WORKERS))
        runs.setdefault("COPY alone", []).append(Run(copy(on), {}))
        for what, wide in WAYS.items() if program else ():
            runs.setdefault(what, []).append(telegraf(program or "", on, turn, wide=wide))
    return [middle(what, each) for what, each in runs.items()]


def main() -> None:
    program = os.environ.get("LAB_BENCH_TELEGRAF")
    with world() as on, world() as queue:
        rows = turns(on, queue, program)
        waits, memory = latencies(on, rows[0].rate / READINGS / 2)
    say(table(rows, rows[1].rate))
    say(f"\nload: {', '.join(f'{load:.1f}' for load in os.getloadavg())} on {os.cpu_count()} cores")
    if not program:
        say("WARNING: Telegraf was not measured: LAB_BENCH_TELEGRAF names no telegraf")
    p50, p99 = (waits[int(len(waits) * share)] for share in (0.5, 0.99))
    say(
        f"publish → queryable at half our rate, {len(waits)} uplinks:"
        f" p50 {p50:.0f} ms, p99 {p99:.0f} ms, most {waits[-1]:.0f} ms"
    )
    every = " ".join(f"{each:.0f}" for each in memory)
    say(f"memory of ingest in MB, every {MEMORY_S} s of it and at the end: {every}")
    mqtt, bare_, queue_, copy_ = (round(row.rate) for row in rows[:4])
    figures: dict[str, int | None] = {"ours": max(mqtt, queue_), "bare": bare_, "copy": copy_}
    figures |= {"telegraf": round(rows[4].rate) if program else None, "p99_ms": round(p99)}
    say(json.dumps({**figures, "ours_mqtt": mqtt, "ours_queue": queue_}))


if __name__ == "__main__":
    main()
